"""Keep the logged metrics of an interrupted training: Lightning's CSV logger deletes them when the training resumes."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Rows = list[dict[str, str]]


@contextmanager
def kept_metrics(folder: Path) -> Iterator[None]:
    """Put the rows of the training before in front of the new ones, also when the new one is killed.

    Args:
        folder: Folder of the stage, with logs/metrics.csv.

    Yields:
        Nothing; the logger writes meanwhile.
    """
    log, aside = folder / "logs" / "metrics.csv", folder / "metrics_before.csv"
    write_rows(aside, joined(read_rows(aside), read_rows(log)))
    try:
        yield
    finally:
        write_rows(log, joined(read_rows(aside), read_rows(log)))
        aside.unlink(missing_ok=True)


def joined(before: Rows, after: Rows) -> Rows:
    """Return the rows before the first step of `after`, then `after`.

    Args:
        before: Rows of the earlier training.
        after: Rows of the later one, which repeats steps that were logged after the last checkpoint.
    """
    start = min((float(row["step"]) for row in after if row.get("step")), default=float("inf"))
    return [row for row in before if float(row.get("step") or 0) < start] + after


def read_rows(path: Path) -> Rows:
    """Read a csv file; a missing one has no rows."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Rows) -> None:
    """Write rows with the union of their columns, aside first; nothing for no rows."""
    if not rows:
        return
    columns = list(dict.fromkeys(name for row in rows for name in row))
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(aside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(aside, path)
