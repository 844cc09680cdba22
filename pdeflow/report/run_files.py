"""What a finished run left on disk, read for the report: a missing or damaged file becomes a note, never a crash."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdeflow.report.elements import picture

PICTURE_BYTES = 3_200_000  # of all pictures together: base64 adds a third, and the page stays under 5 MB
LARGEST_PICTURE = 400_000
LARGEST_TEXT = 60_000
STAMP = re.compile(r"\d{8}-\d{6}-\w+")
"""Folder that `run_folder.create` makes for a run, within that of the experiment."""


@dataclass(frozen=True)
class RunFiles:
    """The folder of a run as the report reads it.

    Attributes:
        folder: The run folder.
        damaged: Notes about files that exist and cannot be read; grows while reading.
    """

    folder: Path
    damaged: list[str] = field(default_factory=list)

    def json(self, name: str) -> dict[str, Any] | None:
        """Return the mapping in a JSON file of the run, or None where it is missing or damaged."""
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            self._complain(f"{name} cannot be read ({' '.join(str(error).split())}); run its stage again.")
            return None
        if not isinstance(content, dict):
            self._complain(
                f"{name} must hold a JSON mapping, found {type(content).__name__}; run its stage again."
            )
            return None
        return content

    def text(self, name: str) -> str | None:
        """Return a text file of the run, cut after 60,000 characters, or None where it is missing."""
        path = self.folder / name
        if not path.is_file():
            return None
        content = path.read_text(encoding="utf-8", errors="replace")
        return content if len(content) <= LARGEST_TEXT else content[:LARGEST_TEXT] + "\n… (cut)"

    def summaries(self, command: str) -> dict[str, dict[str, Any]]:
        """Return the summary of every stage COMMAND or COMMAND.NAME that has a readable one, by stage."""
        found = {}
        for path in sorted(self.folder.glob(f"{command}*/summary.json")):
            stage = path.parent.name
            if stage == command or stage.startswith(f"{command}."):
                content = self.json(f"{stage}/summary.json")
                if content is not None:
                    found[stage] = content
        return found

    @property
    def is_dataset(self) -> bool:
        """Whether the folder is a dataset, not a run."""
        return (self.folder / "manifest.json").is_file()

    @property
    def only_solved(self) -> bool:
        """Whether the run solved, and neither made data nor trained nor evaluated."""
        others = ("generate", "fit", "evaluate")
        return bool(self.summaries("solve")) and not any(path for word in others for path in self.folder.glob(f"{word}*/"))

    @property
    def name(self) -> str:
        """Name of the run: of its dataset, or of the experiment whose folder holds it under a time stamp, or of its own folder."""
        folder = self.folder.resolve()
        own = folder.parent.name if STAMP.fullmatch(folder.name) else folder.name
        return str((self.manifest() or {}).get("name") or own)

    def manifest(self) -> dict[str, Any] | None:
        """Return the manifest of the run's own data set, or of the folder itself where it is one; or None."""
        if self.is_dataset:
            return self.json("manifest.json")
        for path in sorted(self.folder.glob("generate*/manifest.json")):
            return self.json(f"{path.parent.name}/manifest.json")
        return None

    def picture(self, name: str, caption: str) -> str:
        """Return picture NAME.png of the run's figures as an HTML figure, or a note."""
        count = max(len(list((self.folder / "figures").glob("*.png"))), 1)
        limit = min(LARGEST_PICTURE, PICTURE_BYTES // count)
        return picture(self.folder / "figures" / f"{name}.png", caption, limit)

    def _complain(self, text: str) -> None:
        if text not in self.damaged:
            self.damaged.append(text)


def settings_name(spec: object) -> str:
    """Return the class path of settings, or the text itself where it is one already; "–" where nothing is known."""
    if isinstance(spec, Mapping):
        return str(spec.get("class_path", "–"))
    return str(spec) if spec else "–"
