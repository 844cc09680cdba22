"""Report section on how to make the run again: command, seed, versions, hashes and the settings file."""

from __future__ import annotations

from pdeflow.report.elements import folded, heading, note, pairs, paragraph
from pdeflow.report.run_files import RunFiles
from pdeflow.report.tables import html_table

MOST_HASHES = 12


def reproduce(run: RunFiles) -> str:
    """Return the exact command, the versions, the hashes of the data and the settings.

    Args:
        run: Files of the run.

    Returns:
        HTML.
    """
    stages = [""] if any((run.folder / name).is_file() for name in ("run.json", "config.yaml")) else _recorded(run)
    parts = [(heading(stage) if len(stages) > 1 else "") + _record(run, stage) for stage in stages]
    return "".join(parts) + _hashes(run)


def _recorded(run: RunFiles) -> list[str]:
    """Return the stages with a record of their own, as pdeflow fit and pdeflow solve leave it; [""] where there is none."""
    found = sorted(path.parent.name for path in run.folder.glob("*/run.json"))
    return [stage for stage in found if stage.split(".")[0] in ("fit", "solve")] or [""]


def _record(run: RunFiles, stage: str) -> str:
    """Return command, versions and settings of a stage, or of the whole run where it is ""."""
    parts, prefix = [], f"{stage}/" if stage else ""
    made = run.json(f"{prefix}run.json")
    if made is None:
        parts.append(note("No record of how the run was made (run.json)."))
    else:
        parts.append(paragraph(f"$ {made.get('command', 'command not recorded')}", "equation"))
        keys = ("seed", "started", "folder", "python", "machine", "device", "revision")
        parts.append(pairs({key: made.get(key) for key in keys}))
        versions = [
            (k, v if v is not None else "not installed") for k, v in (made.get("versions") or {}).items()
        ]
        parts.append(heading("Versions") + html_table(("package", "version"), versions))
    config = run.text(f"{prefix}config.yaml")
    if config is None:
        parts.append(note("No settings were stored with the run (config.yaml)."))
    else:
        from_file = any(line.startswith("matrix:") for line in config.splitlines())  # a matrix is named on the command line
        parts.append(paragraph(_recipe(run, stage, from_file, (made or {}).get("folder"))))
        parts.append(folded(f"{prefix}config.yaml", config))
    return "".join(parts)


def _recipe(run: RunFiles, stage: str, from_file: bool, folder: object) -> str:
    """Say which command makes the stage again, and where."""
    if stage.split(".")[0] == "solve":
        command = "The command above" if from_file else f"pdeflow solve -c {run.folder.resolve() / stage / 'config.yaml'} --run again"
        return f"{command}, in the folder {folder or 'in which the run was started'}, solves again."
    name = stage.partition(".")[2]
    train = f"pdeflow fit -c {stage}/config.yaml --out again" + (f" --stage {name}" if name else "")
    return f"In the run folder, this makes the run again, in a folder of its own: {train if stage else 'pdeflow run config.yaml'}"


def _hashes(run: RunFiles) -> str:
    splits = ((run.manifest() or {}).get("splits") or {}).values()
    shards = [(s.get("file"), s.get("sha256")) for split in splits for s in split.get("shards") or ()]
    if not shards:
        return ""
    rest = len(shards) - MOST_HASHES
    more = paragraph(f"and {rest} more in generate/manifest.json", "soft") if rest > 0 else ""
    return heading("Data files") + html_table(("file", "sha256"), shards[:MOST_HASHES]) + more
