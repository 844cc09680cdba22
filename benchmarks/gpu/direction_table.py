"""The table of benchmarks/gpu/deep_conjugate_directions.py: all rows that are planned, written after every one that was measured."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from captured_cg import RTOL
from direction_cases import Case

BAR_ITERATIONS, BAR_RATIO = 15, 5.0
HEAD = [
    "| a | grid | right-hand sides | method | iterations | set-up s | solve s | fastest CG / solve | / set-up + solve | residual |",
    "|---|---|---:|---|---:|---:|---:|---:|---:|---:|",
]


@dataclass(frozen=True)
class Measured:
    """One solve.

    Attributes:
        iterations: Most of a column.
        residual: Worst true relative residual.
        setup: Seconds.
        seconds: Seconds of the solve.
        role: "reference", "bar" or "".
    """

    iterations: int
    residual: float
    setup: float
    seconds: float
    role: str = ""

    @property
    def done(self) -> bool:
        """Whether it converged; if not, the clock ended it and it has more iterations and seconds than it says."""
        return self.residual <= RTOL


class Table:
    """All rows that are planned, in order, with what was measured.

    Args:
        top: Lines before the table.
        planned: Case and method of each row.
        path: Where it is written, aside and renamed, after every row; None writes nothing.
    """

    def __init__(self, top: list[str], planned: list[tuple[Case, str]], path: Path | None) -> None:
        self.top, self.path, self.notes = top, path, list[str]()
        self.rows: dict[tuple[Case, str], Measured | str] = dict.fromkeys(planned, "not run")

    def put(self, case: Case, method: str, found: Measured | str) -> None:
        """Fill a row in, print it, and write the table; a word stands for what was not measured."""
        self.rows[case, method] = found
        print(self.line(case, method), flush=True)
        self.write()

    def write(self) -> None:
        """Write the page."""
        if self.path is not None:
            aside = self.path.with_suffix(".part")
            aside.write_text("\n".join(self.lines()) + "\n", encoding="utf-8")
            os.replace(aside, self.path)

    def lines(self) -> list[str]:
        """The whole page."""
        return [*self.top, "", *HEAD, *(self.line(*key) for key in self.rows), "", *self.notes, *self.bars()]

    def reference(self, case: Case) -> float:
        """Seconds of the fastest conjugate gradients of a case, NaN before there is one; what the clock ended counts so far, a lower bound."""
        found = [row for (c, _), row in self.rows.items() if c == case and isinstance(row, Measured) and row.role == "reference"]
        return min((row.seconds for row in found), default=math.nan)

    def line(self, case: Case, method: str) -> str:
        """One row."""
        start, row = f"| {case.kind} | {case.side}³ | {case.count} | {method} |", self.rows[case, method]
        if isinstance(row, str):
            return f"{start} {row} | | | | | |"
        more, reference = "" if row.done else "> ", self.reference(case)
        ratios = [f"{reference / s:.1f}" if row.done and math.isfinite(reference) else "" for s in (row.seconds, row.setup + row.seconds)]
        return f"{start} {more}{row.iterations} | {row.setup:.3f} | {more}{row.seconds:.4g} | {' | '.join(ratios)} | {row.residual:.1e} |"

    def bars(self) -> list[str]:
        """Whether the bars are met, by the cases that were measured."""
        bar = [(case, row) for (case, _), row in self.rows.items() if isinstance(row, Measured) and row.role == "bar"]
        side = max(case.side for case, _ in self.rows)
        asked = {case for case, _ in self.rows if case.side == side}
        ratios = [max(self.reference(case) / row.seconds if row.done and math.isfinite(self.reference(case)) else 0.0 for c, row in bar if c == case) for case in asked & {c for c, _ in bar}]
        if not ratios:
            return []
        most, failed = max(row.iterations for _, row in bar), sum(not row.done for _, row in bar)
        part = "" if len(ratios) == len(asked) else f", of {len(ratios)} of {len(asked)} cases"
        return [
            f"- At most {BAR_ITERATIONS} iterations: {'yes' if most <= BAR_ITERATIONS and not failed else 'no'}, {most}"
            f"{f', and {failed} not finished' if failed else ''}.",
            f"- {BAR_RATIO:.0f} times as fast as conjugate gradients at {side}³: {'yes' if min(ratios) >= BAR_RATIO else 'no'}, "
            f"{min(ratios):.1f} to {max(ratios):.1f}{part}.",
        ]
