"""`pdeflow data import | check | export | augment`: foreign files in, every violated rule, files for other tools out."""

from __future__ import annotations

from pathlib import Path

from pdeflow.cli import experiment
from pdeflow.cli.exit_codes import BAD_DATA, OK
from pdeflow.cli.main import suggestion
from pdeflow.errors import UsageError

USAGE = (
    "pdeflow data import FILE|DIR… --out DIR [--valid N] [--test N] | pdeflow data check DIR | "
    "pdeflow data export DIR --out DIR [--to pt|npy|pdebench|vtu] | "
    "pdeflow data augment -c FILE --out DIR [--basis N]"
)


def main(argv: list[str], command: str = "data") -> int:
    """Import, check, export or augment a dataset.

    Args:
        argv: Verb and its arguments.
        command: Its name.

    Returns:
        Exit code; 4 where `check` found a violated rule.
    """
    rest = [word for word in argv if word not in ("-q", "-v")]
    verbs = {
        "import": import_files,
        "check": check_dataset,
        "export": export_dataset,
        "augment": augment_dataset,
    }
    if not rest or rest[0] not in verbs:
        raise UsageError(f"expected {USAGE}{suggestion(rest[0]) if rest else ''}")
    return verbs[rest[0]](rest[1:])


def import_files(rest: list[str]) -> int:
    """Convert foreign files into a dataset."""
    from pdeflow.cli.info import dataset_lines
    from pdeflow.data import describe
    from pdeflow.data import import_files as convert

    out, valid, test, name = (
        experiment.take(rest, option) for option in ("--out", "--valid", "--test", "--name")
    )
    unknown = [word for word in rest if word.startswith("-")]
    if unknown or not rest or out is None:
        raise UsageError(
            f"expected files and --out DIR{f', unknown option {unknown[0]}' if unknown else ''}; {USAGE}"
        )
    held = {"valid": whole("--valid", valid) or 0, "test": whole("--test", test) or 0}
    root = convert([Path(word) for word in rest], Path(out), **held, name=name)
    print(dataset_lines(describe(root)))
    print(f"written to {root}")
    return OK


def whole(option: str, text: str | None) -> int | None:
    """Return the number of samples that an option gives, or None where it was left out.

    Args:
        option: Its name.
        text: Its value.

    Raises:
        UsageError: If it is not a whole number.
    """
    if text is not None and not text.isdigit():
        raise UsageError(f"{option} must be a whole number of samples, got {text!r}")
    return None if text is None else int(text)


def check_dataset(rest: list[str]) -> int:
    """Print every violated rule of a dataset."""
    from pdeflow.data import check

    if len(rest) != 1:
        raise UsageError(f"expected one dataset folder; {USAGE}")
    found = check(Path(rest[0]))
    print("\n".join(found) if found else f"{rest[0]}: complete, no damage found")
    return BAD_DATA if found else OK


def export_dataset(rest: list[str]) -> int:
    """Write a dataset in the layout of another tool: all splits, or for ParaView the samples of one."""
    from pdeflow import data
    from pdeflow.data.vtu import default_split

    out, kind, split, count = (
        experiment.take(rest, option) for option in ("--out", "--to", "--split", "--count")
    )
    if len(rest) != 1 or out is None:
        raise UsageError(f"expected one dataset folder and --out DIR; {USAGE}")
    writers = {"pt": data.export_neuralop, "npy": data.export_npy, "pdebench": data.export_pdebench}
    kind = kind or "pt"
    if kind not in (*writers, "vtu"):
        raise UsageError(f"--to must be one of {', '.join(writers)}, vtu, got {kind!r}")
    if kind != "vtu" and (split or count):
        raise UsageError(
            f"--split and --count belong to --to vtu; {kind} files hold all samples of all splits"
        )
    if kind == "vtu":
        split = split or default_split(rest[0])
        files = data.export_vtu(Path(rest[0]), Path(out), split, whole("--count", count))
        found = f"{len(files)} files of split {split}, {files[0]} to {files[-1].name}"
        print(found if files else "no sample was asked for")
        return OK
    print("\n".join(map(str, writers[kind](Path(rest[0]), Path(out)))))
    return OK


def augment_dataset(rest: list[str]) -> int:
    """Write a dataset of sources computed from mixed solutions, by the settings of a generation."""
    from pdeflow.cli import generate
    from pdeflow.cli.info import dataset_lines
    from pdeflow.data import describe
    from pdeflow.generation.operator_action import operator_action

    basis, out, count = (experiment.take(rest, option) for option in ("--basis", "--out", "--count"))
    files, rest = experiment.split_files(rest)
    if out is None:
        raise UsageError(f"expected --out DIR; {USAGE}")
    config, _ = experiment.settings(files, "generate")
    if count is not None:
        config = {**config, "count": generate.parsed_count(count)}
    rest = [
        f"--seed_everything{word.removeprefix('--seed')}" if word.split("=")[0] == "--seed" else word
        for word in rest
    ]
    settings = generate.parse(config, experiment.bracketed(rest, "--grid"))
    operator_action(
        settings.problem, out, count=settings.count, grid=settings.grid, basis=whole("--basis", basis) or 40,
        seed=settings.seed_everything, name=f"{settings.name}_operator_action",
    )  # fmt: skip
    print(dataset_lines(describe(out)))
    print(f"written to {out}")
    return OK
