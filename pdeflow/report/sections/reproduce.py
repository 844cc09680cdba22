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
    parts = []
    trained = [] if (run.folder / "run.json").is_file() else sorted(run.folder.glob("fit*/run.json"))
    stage = f"{trained[0].parent.name}/" if trained else ""  # pdeflow fit keeps its own record
    made = run.json(f"{stage}run.json")
    if made is None:
        parts.append(note("No record of how the run was made (run.json)."))
    else:
        parts.append(paragraph(f"$ {made.get('command', 'command not recorded')}", "equation"))
        keys = ("seed", "started", "python", "machine", "device", "revision")
        parts.append(pairs({key: made.get(key) for key in keys}))
        versions = [
            (k, v if v is not None else "not installed") for k, v in (made.get("versions") or {}).items()
        ]
        parts.append(heading("Versions") + html_table(("package", "version"), versions))
    parts.append(_hashes(run))
    config = run.text(f"{stage}config.yaml")
    if config is None:
        parts.append(note("No settings were stored with the run (config.yaml)."))
    else:
        name = stage.strip("/").partition(".")[2]
        command = f"pdeflow fit -c {stage}config.yaml --out again" + (f" --stage {name}" if name else "") if trained else "pdeflow run config.yaml"
        parts.append(paragraph(f"In the run folder, this makes the run again, in a folder of its own: {command}"))
        parts.append(folded(f"{stage}config.yaml", config))
    return "".join(parts)


def _hashes(run: RunFiles) -> str:
    splits = ((run.manifest() or {}).get("splits") or {}).values()
    shards = [(s.get("file"), s.get("sha256")) for split in splits for s in split.get("shards") or ()]
    if not shards:
        return ""
    rest = len(shards) - MOST_HASHES
    more = paragraph(f"and {rest} more in generate/manifest.json", "soft") if rest > 0 else ""
    return heading("Data files") + html_table(("file", "sha256"), shards[:MOST_HASHES]) + more
