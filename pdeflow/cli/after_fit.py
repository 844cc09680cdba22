"""What a finished training leaves: the best weights as an export, a summary, and the picture of its curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pdeflow.report import format_number, plot_training, read_metrics
from pdeflow.run_folder import export, iteration_lines, metric_text, write_json


def finish(cli: Any, trainer: Any, folder: Path, seconds: float) -> str:
    """Export the best weights and write summary.json and the picture.

    Args:
        cli: Parsed settings with task and data module.
        trainer: The trainer after fit.
        folder: Folder of the stage.
        seconds: Wall time of the training.

    Returns:
        A few lines for people.
    """
    task, checkpoint = cli.model, trainer.checkpoint_callback
    best = Path(checkpoint.best_model_path) if checkpoint.best_model_path else None
    kept = torch.load(best, weights_only=True, map_location="cpu") if best is not None and best.is_file() else {}
    if kept:
        task.load_state_dict(kept["state_dict"])
    most = getattr(task, "most_iterations", None)
    monitor, value = checkpoint.monitor, checkpoint.best_model_score
    best_epoch = kept["epoch"] + 1 if kept else None
    metrics = {monitor: float(value)} if monitor and value is not None else {}
    card = {"iteration_card": kept["iteration_card"]} if "iteration_card" in kept else {}
    export(folder, task.network, export_settings(cli, metrics) | card)
    summary = {
        "stage": folder.name,
        "task": cli.spec("model").get("class_path"),
        "network": cli.spec("model.init_args.network").get("class_path"),
        "network_args": cli.spec("model.init_args.network").get("init_args") or {},
        "optimizer": describe(trainer.optimizers, [entry.scheduler for entry in trainer.lr_scheduler_configs]),
        "parameters": sum(p.numel() * (2 if p.is_complex() else 1) for p in task.network.parameters()),
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "seconds": seconds,
        "best": {"metric": monitor, "value": metrics.get(monitor), "epoch": best_epoch, "most_iterations": most},
        "device": str(trainer.strategy.root_device),
    }
    write_json(folder / "summary.json", summary)
    figure = folder.parent / "figures" / f"training_{folder.name}.png"
    metrics_file = folder / "logs" / "metrics.csv"
    if metrics_file.is_file():
        plot_training(figure, read_metrics(metrics_file), most_iterations=most)
    return report_lines(summary, folder, figure, iteration_lines(kept.get("iteration_card")))


def export_settings(cli: Any, metrics: dict[str, float]) -> dict[str, Any]:
    """Collect what travels with the weights.

    Args:
        cli: Parsed settings with task and data module.
        metrics: Best metrics.

    Returns:
        Settings for `run_folder.export`.
    """
    network, data = cli.spec("model.init_args.network"), cli.datamodule
    settings: dict[str, Any] = {
        "kind": "preconditioner" if hasattr(cli.model.network, "setup") else "operator",
        "task": cli.spec("model").get("class_path"),
        "network": {"class_path": network["class_path"], "init_args": network.get("init_args") or {}},
        "problem": cli.spec("problem") or None,
        "metrics": metrics,
        "most_iterations": getattr(cli.model, "most_iterations", None),
    }
    if data is not None:
        a, _ = data.training_fields()
        settings["grid"] = list(data.grid.shape)
        settings["input_ranges"] = input_ranges(a, getattr(data, "inputs", ()))
        if settings["problem"] is None and data.problem is not None:
            settings["problem"] = data.problem.settings()
    return settings


def input_ranges(a: torch.Tensor, names: Sequence[str]) -> dict[str, list[float]]:
    """Return the least and the greatest value of every input.

    Args:
        a: Inputs, shape (N, channels, ...).
        names: Names of the channels; where they do not fit, "channel 0", "channel 1", ….
    """
    labels = names if len(names) == a.shape[1] else [f"channel {k}" for k in range(a.shape[1])]
    return {name: [float(field.min()), float(field.max())] for name, field in zip(labels, a.unbind(1), strict=True)}


def describe(optimizers: Sequence[Any], schedules: Sequence[Any]) -> str:
    """Return the optimizer's name and peak rate with the schedule, for example "Muon, lr 0.02 (WarmupCosine)"."""
    names = []
    for optimizer in optimizers:
        group = optimizer.param_groups[0]
        names.append(f"{type(optimizer).__name__}, lr {format_number(group.get('initial_lr', group['lr']))}")
    after = f" ({', '.join(type(schedule).__name__ for schedule in schedules)})" if schedules else ""
    return "; ".join(names) + after


def report_lines(summary: dict[str, Any], folder: Path, figure: Path, counts: Sequence[str] = ()) -> str:
    """Return the lines that the command prints at its end, among them those that compare iterations with classical methods."""
    network, best = str(summary["network"]).rsplit(".", 1)[-1], summary["best"]
    lines = [
        f"{folder.name}: {network}, {summary['parameters']:,} real parameters, {summary['optimizer']}, "
        f"{summary['epochs']} epochs, {summary['steps']} steps, {summary['seconds']:.0f} s"
    ]
    if best["value"] is not None:
        lines.append(f"  best {metric_text(best['metric'], best['value'], best['most_iterations'])} at epoch {best['epoch']}")
    lines += [f"  {line}" for line in counts]
    lines.append(f"  {folder / 'export'}, {figure}")
    return "\n".join(lines)
