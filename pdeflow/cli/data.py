"""`pdeflow data import | check | export`: foreign files in, every violated rule, files for neuraloperator and ParaView out."""

from __future__ import annotations

from pathlib import Path

from pdeflow.cli import experiment
from pdeflow.cli.exit_codes import BAD_DATA, OK
from pdeflow.cli.main import suggestion
from pdeflow.errors import UsageError

USAGE = (
    "pdeflow data import FILE… --out DIR [--valid N] | pdeflow data check DIR | "
    "pdeflow data export DIR --out DIR [--to pt|vtu]"
)


def main(argv: list[str], command: str = "data") -> int:
    """Import, check or export a dataset.

    Args:
        argv: Verb and its arguments.
        command: Its name.

    Returns:
        Exit code; 4 where `check` found a violated rule.
    """
    rest = [word for word in argv if word not in ("-q", "-v")]
    verbs = {"import": import_files, "check": check_dataset, "export": export_dataset}
    if not rest or rest[0] not in verbs:
        raise UsageError(f"expected {USAGE}{suggestion(rest[0]) if rest else ''}")
    return verbs[rest[0]](rest[1:])


def import_files(rest: list[str]) -> int:
    """Convert foreign files into a dataset."""
    from pdeflow.data import describe, import_neuralop

    out, valid, name = (experiment.take(rest, option) for option in ("--out", "--valid", "--name"))
    unknown = [word for word in rest if word.startswith("-")]
    if unknown or not rest or out is None:
        raise UsageError(
            f"expected files and --out DIR{f', unknown option {unknown[0]}' if unknown else ''}; {USAGE}"
        )
    if valid is not None and not valid.isdigit():
        raise UsageError(f"--valid must be a whole number of samples, got {valid!r}")
    root = import_neuralop([Path(word) for word in rest], Path(out), valid=int(valid or 0), name=name)
    from pdeflow.cli.info import dataset_lines

    print(dataset_lines(describe(root)))
    print(f"written to {root}")
    return OK


def check_dataset(rest: list[str]) -> int:
    """Print every violated rule of a dataset."""
    from pdeflow.data import check

    if len(rest) != 1:
        raise UsageError(f"expected one dataset folder; {USAGE}")
    found = check(Path(rest[0]))
    print("\n".join(found) if found else f"{rest[0]}: complete, no damage found")
    return BAD_DATA if found else OK


def export_dataset(rest: list[str]) -> int:
    """Write the splits of a dataset as neuraloperator's .pt files, or samples as .vtu files for ParaView."""
    from pdeflow.data import export_neuralop
    from pdeflow.data.vtu import export_vtu

    out, kind, split, count = (experiment.take(rest, option) for option in ("--out", "--to", "--split", "--count"))
    if len(rest) != 1 or out is None:
        raise UsageError(f"expected one dataset folder and --out DIR; {USAGE}")
    if kind not in (None, "pt", "vtu"):
        raise UsageError(f"--to must be pt or vtu, got {kind!r}")
    if kind != "vtu" and (split or count):
        raise UsageError("--split and --count belong to --to vtu; .pt files hold all samples of all splits")
    if count is not None and not count.isdigit():
        raise UsageError(f"--count must be a whole number of samples, got {count!r}")
    if kind == "vtu":
        files = export_vtu(Path(rest[0]), Path(out), split or "test", None if count is None else int(count))
        print(f"{len(files)} files, {files[0]} to {files[-1].name}" if files else "no sample was asked for")
        return OK
    print("\n".join(map(str, export_neuralop(Path(rest[0]), Path(out)))))
    return OK
