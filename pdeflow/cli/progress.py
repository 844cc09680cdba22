"""One way to show progress: a rich bar in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Progress:
    """Counts done of total with a note; a context from `progress` makes one."""

    def __init__(self, label: str, bar: Any, task: Any, every: float = 5.0) -> None:
        self.label, self.bar, self.task, self.every = label, bar, task, every
        self.start = self.last = time.monotonic()

    def update(self, done: int, total: int, note: str = "") -> None:
        """Show the state.

        Args:
            done: Finished pieces.
            total: All pieces.
            note: Short text after the count.
        """
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total, note=note)
            return
        now = time.monotonic()
        if now - self.last >= self.every:
            self.last = now
            left = (now - self.start) * (total - done) / max(done, 1)
            print(
                f"{self.label}: {done}/{total} {note}, {now - self.start:.0f} s, {left:.0f} s left",
                flush=True,
            )


@contextmanager
def progress(label: str, quiet: bool = False) -> Iterator[Progress | None]:
    """Open a progress display.

    Args:
        label: What is going on.
        quiet: Show nothing.

    Yields:
        A Progress, or None when quiet.
    """
    if quiet:
        yield None
    elif not sys.stdout.isatty():
        yield Progress(label, None, None)
    else:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with RichProgress(*columns, TimeRemainingColumn(), transient=True) as bar:
            yield Progress(label, bar, bar.add_task(label, total=None, note=""))
