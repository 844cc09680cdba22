"""`pdeflow generate`: draw instances of a problem, solve them to a tolerance, write a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from pdeflow.cli import experiment
from pdeflow.cli.exit_codes import OK
from pdeflow.cli.progress import progress
from pdeflow.errors import UsageError


def parser() -> ArgumentParser:
    """Return the parser of the command's settings."""
    from pdeflow.problems import Problem

    p = ArgumentParser(
        prog="pdeflow generate", exit_on_error=False, description="Generate a dataset of a problem."
    )
    p.add_argument("--config", "-c", action="config", help="Settings file; several layer.")
    p.add_argument("--name", type=str, default="dataset", help="Name of the dataset.")
    p.add_argument(
        "--seed_everything", type=int, default=0, help="Root seed; sample i depends on it and i only."
    )
    p.add_subclass_arguments(Problem, "problem", required=True)
    p.add_argument(
        "--count",
        type=dict[str, int],
        default={"train": 400, "valid": 50, "test": 50},
        help="Samples by split.",
    )
    p.add_argument(
        "--grid", type=list[int] | None, default=None, help="Cells per axis; the problem's own resolution by default."
    )
    p.add_argument("--h", type=float | None, default=None, help="Mesh size in length units, for problems on meshes.")
    p.add_argument("--method", type=str, default="auto", help="auto (measured), direct, or cg (with AMG).")
    p.add_argument(
        "--rtol", type=float | None, default=None, help="Largest accepted verdict (relative residual); the problem's by default."
    )
    p.add_argument("--chain_length", type=int, default=128, help="Samples of one chain, which is one shard.")
    p.add_argument("--workers", type=int, default=1, help="Processes; they never change the data.")
    p.add_argument(
        "--shard",
        type=str | None,
        default=None,
        help="i/n: only this share of the chains, without a scheduler.",
    )
    p.add_argument("--resume", type=bool, default=False, help="Continue an interrupted generation.")
    p.add_argument(
        "--out", type=str | None, default=None, help="Folder of the dataset; datasets/NAME by default."
    )
    return p


def main(argv: list[str], command: str = "generate") -> int:
    """Generate a dataset.

    Args:
        argv: Arguments after the command.
        command: Its name.

    Returns:
        Exit code.
    """
    files, rest = experiment.split_files(argv)
    quiet = "-q" in rest
    rest = [
        {"--seed": "--seed_everything", "--resume": "--resume=true"}.get(w, w)
        for w in rest
        if w not in ("-q", "-v")
    ]
    rest = ["--seed_everything=" + w.partition("=")[2] if w.startswith("--seed=") else w for w in rest]
    rest = experiment.bracketed(rest, "--grid")
    single = experiment.take(rest, "--count") if not any("{" in w for w in rest) else None
    if "--help-all" in rest:
        parser().print_help()
        return OK
    config, _ = experiment.settings(files, "generate")
    if single is not None:
        config = {**config, "count": split_count(single)}
    generate_dataset(parse(config, rest), quiet)
    return OK


def parse(config: dict[str, Any], overrides: list[str]) -> Any:
    """Return the instantiated settings.

    Args:
        config: Section of the experiment.
        overrides: Options of the command line.
    """
    p = parser()
    return p.instantiate(p.parse_args([*as_text(config), *overrides]))


def as_text(config: dict[str, Any]) -> list[str]:
    """Return settings as the one argument that a parser reads before the overrides."""
    return [f"--config={yaml.safe_dump(config, sort_keys=False)}"] if config else []


def split_count(text: str) -> dict[str, int]:
    """Split a total number of samples 80 : 10 : 10.

    Args:
        text: Whole number.

    Returns:
        Samples by split.

    Raises:
        UsageError: If it is not a positive whole number.
    """
    if not text.isdigit() or int(text) < 1:
        raise UsageError(
            f"--count must be a positive whole number (or count: {{train: …}} in the file), got {text!r}"
        )
    total = int(text)
    tenth = total // 10
    return {"train": total - 2 * tenth, "valid": tenth, "test": tenth} if tenth else {"train": total}


def generate_dataset(settings: Any, quiet: bool) -> dict[str, Any]:
    """Generate, draw the first samples, print the result.

    Args:
        settings: Instantiated settings of the command.
        quiet: No progress.

    Returns:
        The manifest.
    """
    from pdeflow.generation import generate

    out = Path(settings.out or f"datasets/{settings.name}")
    with progress("generate", quiet) as display:
        manifest = generate(
            settings.problem, out, count=settings.count, grid=settings.grid, h=settings.h, seed=settings.seed_everything,
            method=settings.method, rtol=settings.rtol, chain_length=settings.chain_length, workers=settings.workers,
            resume=settings.resume, shard=settings.shard, name=settings.name,
            progress=None if display is None else lambda state: display.update(state.done, state.total, f"{state.iterations} its"),
        )  # fmt: skip
    if manifest.get("incomplete"):
        print(
            f"generate: {manifest['incomplete']} of {manifest['chains']} chains of {out} are missing; run the other shares"
        )
        return manifest
    print(summary_lines(manifest, out))
    print("  " + ", ".join(map(str, draw(out))))
    return manifest


def summary_lines(manifest: dict[str, Any], out: Path) -> str:
    """Return what the command prints."""
    from pdeflow.data.manifest import place

    counts = " + ".join(f"{split['count']} {name}" for name, split in manifest["splits"].items())
    residual, seconds = manifest["residual"]["max"], manifest["seconds"]
    total = sum(split["count"] for split in manifest["splits"].values())
    return (
        f"generate: {counts} samples, {place(manifest)}, {manifest['equation']}\n"
        f"  {manifest['solver']}; {manifest.get('verdict', 'relative residual')} at most {residual:.1e}; {seconds:.1f} s "
        f"({total / max(seconds, 1e-9):.3g} samples/s)\n  {out}"
    )


def draw(root: Path) -> list[Path]:
    """Draw samples and histograms of a dataset.

    Args:
        root: Folder of the dataset.

    Returns:
        The pictures, in figures/ of the run when the dataset is a stage of one, else beside the data.
    """
    from pdeflow.report.dataset_pictures import plot_dataset

    folder = (root.parent if (root.parent / "figures").is_dir() else root) / "figures"
    return plot_dataset(root, folder)
