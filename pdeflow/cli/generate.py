"""`pdeflow generate`: draw instances of a problem, solve them to a tolerance, write a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from pdeflow.cli import experiment
from pdeflow.cli.arrays import check_place
from pdeflow.cli.exit_codes import BAD_DATA, OK
from pdeflow.cli.progress import progress
from pdeflow.errors import UsageError

OPTIONS: tuple[tuple[str, Any, Any, str], ...] = (
    ("count", dict[str, int], {"train": 400, "valid": 50, "test": 50}, "Samples by split."),
    ("grid", list[int] | None, None, "Cells per axis; the problem's own resolution by default."),
    ("h", float | None, None, "Mesh size in length units, for problems on meshes."),
    ("method", str, "auto", "auto (the winner of a race), direct, cg (with AMG), or another of the race."),
    ("order", str, "none", "none, or similar: neighbours alike, for solvers that recycle."),
    ("rtol", float | None, None, "Largest accepted verdict (relative residual); the problem's by default."),
    ("chain_length", int, 128, "Samples of one chain, which is one shard."),
    ("workers", int, 1, "Processes; they never change the data."),
    ("scheduler", str | None, None, "Dask scheduler whose workers do the work, e.g. tcp://10.0.0.1:8786."),
    ("shard", str | None, None, "i/n: only this share of the chains, without a scheduler."),
    ("resume", bool, False, "Continue an interrupted generation."),
    ("verify", bool, False, "Recompute checksums, solve 0.1 % of the samples again; first writes what is missing."),
    ("out", str | None, None, "Folder of the dataset; datasets/NAME by default."),
)  # fmt: skip
"""Name, type, default and help of the command's own options."""


def parser() -> ArgumentParser:
    """Return the parser of the command's settings."""
    from pdeflow.problems import Problem

    p = ArgumentParser(
        prog="pdeflow generate", exit_on_error=False, allow_abbrev=False, description="Generate a dataset of a problem."
    )
    p.add_argument("--config", "-c", action="config", help="Settings file; several layer.")
    p.add_argument("--name", type=str, default="dataset", help="Name of the dataset.")
    p.add_argument(
        "--seed_everything", type=int, default=0, help="Root seed; sample i depends on it and i only."
    )
    p.add_subclass_arguments(Problem, "problem", required=True)
    for name, kind, default, text in OPTIONS:
        p.add_argument(f"--{name}", type=kind, default=default, help=text)
    return p


def main(argv: list[str], command: str = "generate") -> int:
    """Generate a dataset.

    Args:
        argv: Arguments after the command.
        command: Its name.

    Returns:
        Exit code; 4 where --verify found a violated rule.
    """
    files, rest = experiment.split_files(argv)
    quiet = "-q" in rest
    rest = [
        {"--seed": "--seed_everything", "--resume": "--resume=true", "--verify": "--verify=true"}.get(w, w)
        for w in rest
        if w not in ("-q", "-v")
    ]
    rest = ["--seed_everything=" + w.partition("=")[2] if w.startswith("--seed=") else w for w in rest]
    rest = experiment.bracketed(rest, "--grid")
    single = experiment.take(rest, "--count") if not any("{" in w for w in rest) else None
    if "--help-all" in rest:
        parser().print_help()
        return OK
    config = experiment.one_resolution(experiment.settings(files, "generate")[0], rest)
    if single is not None:
        config = {**config, "count": parsed_count(single)}
    if not files and "--verify=true" in rest and not any(w.startswith("--problem") for w in rest):
        return verify_dataset(only_out(rest))
    if not config and "--resume=true" in rest and not any(w.startswith("--problem") for w in rest):
        config = begun(rest)
    settings = parse(config, rest)
    if settings.verify and (folder(settings) / "manifest.json").is_file():
        settings.resume = True  # what is there is compared with the settings, and kept
    manifest = generate_dataset(settings, quiet)
    return verify_dataset(folder(settings)) if settings.verify and not manifest.get("incomplete") else OK


def only_out(rest: list[str]) -> Path:
    """Return the folder of `pdeflow generate --verify --out DIR`.

    Args:
        rest: Arguments of the command.

    Raises:
        UsageError: If there is no --out, or another option.
    """
    rest = [word for word in rest if word != "--verify=true"]
    out = experiment.take(rest, "--out")
    if out is None or rest:
        raise UsageError(
            f"expected pdeflow generate --verify --out DIR, or -c FILE with the settings of the dataset, got {' '.join(rest) or 'no --out'}"
        )
    return Path(out)


def begun(rest: list[str]) -> dict[str, Any]:
    """Return the settings with which `pdeflow generate --resume --out DIR` goes on: those that DIR was begun with.

    Args:
        rest: Arguments of the command.

    Raises:
        UsageError: If there is no --out, or nothing was begun there.
    """
    from pdeflow.generation.plan import read_plan

    out = experiment.take(list(rest), "--out")
    if out is None:
        raise UsageError("expected pdeflow generate --resume --out DIR, or -c FILE --resume with the settings, got no --out")
    plan = read_plan(Path(out))
    if plan is None:
        raise UsageError(f"nothing was begun in {out} (no plan.json); start with pdeflow generate -c FILE --out {out}")
    recipe = {key: value for key, value in plan["recipe"].items() if value is not None}
    return {"seed_everything": recipe.pop("seed"), **recipe}


def folder(settings: Any) -> Path:
    """Return the folder of the dataset."""
    return Path(settings.out or f"datasets/{settings.name}")


def verify_dataset(root: Path) -> int:
    """Print every violated rule of a dataset, a few samples solved again.

    Args:
        root: Folder of the dataset.

    Returns:
        Exit code.
    """
    from pdeflow.generation.verify import verify

    found = verify(root)
    print("\n".join(found) if found else f"{root}: complete, no damage found, samples solved again agree")
    return BAD_DATA if found else OK


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


def parsed_count(text: str) -> dict[str, int]:
    """Read a total number of samples and split it.

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
    from pdeflow.generation.recipe import split_count

    return split_count(int(text))


def generate_dataset(settings: Any, quiet: bool) -> dict[str, Any]:
    """Generate, draw the first samples, print the result.

    Args:
        settings: Instantiated settings of the command.
        quiet: No progress.

    Returns:
        The manifest.
    """
    from pdeflow.generation import generate

    out = folder(settings)
    check_place(str(out), "out", folder=True)
    with progress("generate", quiet) as display:
        manifest = generate(
            settings.problem, out, count=settings.count, grid=settings.grid, h=settings.h, seed=settings.seed_everything,
            method=settings.method, rtol=settings.rtol, chain_length=settings.chain_length, order=settings.order,
            workers=settings.workers, resume=settings.resume, shard=settings.shard, scheduler=settings.scheduler, name=settings.name,
            progress=None if display is None else lambda state: display.update(state.done, state.total, note(state, settings.problem)),
        )  # fmt: skip
    if manifest.get("incomplete"):
        print(
            f"generate: {manifest['incomplete']} of {manifest['chains']} chains of {out} are missing; run the other shares"
        )
        return manifest
    print(summary_lines(manifest, out))
    print("  " + ", ".join(map(str, draw(out))))
    return manifest


def note(state: Any, problem: Any) -> str:
    """Return what the progress display says besides the counts: rate, solver, iterations, workers of a cluster.

    Args:
        state: A `Progress` of the generation.
        problem: What is generated.
    """
    if not state.workers:
        return "waiting for a worker"
    rate = f"{state.done / state.seconds:.3g}/s" if state.done and state.seconds else "starting"
    each = f", {state.iterations / state.done:.3g} {problem.counted} each" if state.done else ""
    solver = state.solver if problem.linear else problem.algorithm
    return f"{rate}, {solver}{each}, {state.workers} worker{'s' if state.workers > 1 else ''}"


def summary_lines(manifest: dict[str, Any], out: Path) -> str:
    """Return what the command prints."""
    from pdeflow.data.manifest import order_line, place

    counts = " + ".join(f"{split['count']} {name}" for name, split in manifest["splits"].items())
    residual, seconds = manifest["residual"]["max"], manifest["seconds"]
    total = sum(split["count"] for split in manifest["splits"].values())
    order = f"  {order_line(manifest)}\n" if manifest.get("sorting") else ""
    return (
        f"generate: {counts} samples, {place(manifest)}, {manifest['equation']}\n"
        f"  {manifest['solver']}; {manifest.get('verdict', 'relative residual')} at most {residual:.1e}; {seconds:.1f} s "
        f"({total / max(seconds, 1e-9):.3g} samples/s)\n{order}  {out}"
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
