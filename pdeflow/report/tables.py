"""Tables as plain text and as HTML, with numbers of two to three digits."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

SOLVER_HEADER = ("method", "iterations", "set-up s", "solve s", "total s", "residual", "outcome")


def format_number(value: object, digits: int = 3) -> str:
    """Write a number with few digits, an integer in full, anything else as it reads.

    Args:
        value: Number, text, truth value or None (a dash).
        digits: Significant digits of what is not an integer.

    Returns:
        The text: 0.00412 as "0.00412", 1.234e-9 as "1.23e-09", 12345.6 as "12346", None as "–".
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return str(int(value))
    if not isinstance(value, Real):
        return str(value)
    number = float(value)
    if not math.isfinite(number):
        return {math.inf: "inf", -math.inf: "-inf"}.get(number, "nan")
    if number == 0:
        return "0"
    if abs(number) < 1e-3 or abs(number) >= 1e6:
        return f"{number:.{digits - 1}e}"
    if abs(number) >= 10**digits:
        return f"{number:.0f}"
    places = max(digits - 1 - math.floor(math.log10(abs(number))), 0)
    return f"{number:.{places}f}"


def _numeric(text: str) -> bool:
    if text in ("–", ""):
        return True
    try:
        float(text.removesuffix(" %"))
    except ValueError:
        return False
    return len(text) < 24  # a hash may consist of digits


def _right_aligned(columns: Sequence[Sequence[str]]) -> list[bool]:
    return [
        all(map(_numeric, column)) and any(cell not in ("–", "") for cell in column) for column in columns
    ]


def _shrink(widths: list[int], width: int) -> list[int]:
    """Narrow the widest columns, one character at a time, until the line fits; none below four."""
    widths = list(widths)
    while sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > 4:
        widths[widths.index(max(widths))] -= 1
    return widths


def text_table(header: Sequence[str], rows: Sequence[Sequence[object]], width: int | None = 100) -> str:
    """Lay out a table in plain text: columns aligned, numbers to the right, lines of at most `width` characters.

    Args:
        header: Names of the columns.
        rows: Cells, formatted by `format_number`; what does not fit ends in "…".
        width: Longest line, in characters; None cuts nothing.

    Returns:
        The table without a final line break.

    Raises:
        ValueError: If a row has another length than the header.
    """
    cells = _cells(header, rows)
    columns = list(zip(*([list(header), *cells]), strict=True))
    widths = [max(map(len, column)) for column in columns]
    widths = widths if width is None else _shrink(widths, width)
    right = _right_aligned([column[1:] for column in columns])

    def line(row: Sequence[str]) -> str:
        short = [c if len(c) <= w else c[: w - 1] + "…" for c, w in zip(row, widths, strict=True)]
        parts = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(short, widths, right, strict=True)]
        return "  ".join(parts).rstrip()

    return "\n".join([line(header), "  ".join("-" * w for w in widths), *map(line, cells)])


def html_table(header: Sequence[str], rows: Sequence[Sequence[object]], marked: Sequence[int] = ()) -> str:
    """Lay out a table in HTML; every cell is escaped.

    Args:
        header: Names of the columns.
        rows: Cells, formatted by `format_number`.
        marked: Indices of the rows to emphasise.

    Returns:
        A ``<table>`` element inside a scrolling ``<div>``.

    Raises:
        ValueError: If a row has another length than the header.
    """
    cells = _cells(header, rows)
    right = _right_aligned([[row[i] for row in cells] for i in range(len(header))])

    def line(row: Sequence[str], tag: str, kind: str = "") -> str:
        parts = (
            f"<{tag}{' class=number' if r else ''}>{html.escape(c)}</{tag}>"
            for c, r in zip(row, right, strict=True)
        )
        return f"<tr{kind}>{''.join(parts)}</tr>"

    body = "\n".join(line(row, "td", " class=marked" if i in marked else "") for i, row in enumerate(cells))
    return f'<div class="wide"><table>\n<thead>{line(header, "th")}</thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _cells(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[list[str]]:
    for row in rows:
        if len(row) != len(header):
            raise ValueError(
                f"table: expected {len(header)} cells as in {tuple(header)}, found {len(row)}: {row!r}."
            )
    return [[format_number(cell) for cell in row] for row in rows]


def total_seconds(row: Mapping[str, Any]) -> float:
    """Set-up and solve seconds of one solver together.

    Args:
        row: Plain dict with `seconds_setup` and `seconds_solve`, in seconds; either may be missing.

    Returns:
        Their sum; infinite where the solve itself was not timed.
    """
    solve = row.get("seconds_solve")
    return math.inf if solve is None else float(solve) + float(row.get("seconds_setup") or 0.0)


def is_failed(row: Mapping[str, Any]) -> bool:
    """Whether a method ran and ended without a solution.

    Args:
        row: Plain dict with `reason`, the name of a `Reason`; one without it is taken at its word.
    """
    reason = str(row.get("reason") or "converged")
    return not row.get("skipped") and not reason.startswith("converged") and reason != "zero_rhs"


def switch_text(row: Mapping[str, Any]) -> str:
    """Say which method took over and when.

    Args:
        row: Plain dict with `switched_at`, and the method and preconditioner that ended the solve.

    Returns:
        For example "cg + amg:rs from step 10".
    """
    names = [str(row.get(key)) for key in ("method", "preconditioner") if row.get(key) not in (None, "", "none")]
    return f"{' + '.join(names) or 'another method'} from step {row['switched_at']}"


def solver_rows(rows: Sequence[Mapping[str, Any]], brief: bool = False) -> list[tuple[object, ...]]:
    """Turn plain dicts of solves into the rows of a solver table, with columns `SOLVER_HEADER`.

    Args:
        rows: Dicts with name, iterations, seconds_setup, seconds_solve, residual (relative), reason, and optionally
            skipped (the reason as text, or true), switched_at and winner (true).
        brief: Whether the reason of what was skipped is left out; `solver_notes` gives it.

    Returns:
        One tuple per dict; a skipped method says so and why, one that another method rescued which, the winner is named.
    """
    table: list[tuple[object, ...]] = []
    for row in rows:
        name = row.get("name", "?")
        if row.get("skipped"):
            table.append((name, None, None, None, None, None, "skipped" if brief else _why_skipped(row)))
            continue
        total = total_seconds(row)
        outcome = str(row.get("reason") or "–")
        if row.get("switched_at") is not None:
            outcome = ("" if outcome == "converged_fallback" else f"{outcome}, ") + switch_text(row)
        outcome += ", fastest" if row.get("winner") is True else ""
        table.append(
            (
                name,
                row.get("iterations"),
                row.get("seconds_setup"),
                row.get("seconds_solve"),
                total if math.isfinite(total) else None,
                row.get("residual"),
                outcome,
            )
        )
    return table


def solver_notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in full why methods were skipped or failed.

    Args:
        rows: Plain dicts as for `solver_rows`, with `detail`.

    Returns:
        A line for each reason.
    """
    notes: dict[str, list[str]] = {}
    for row in rows:
        why = _why_skipped(row) if row.get("skipped") else row.get("detail") if is_failed(row) else None
        if why:
            notes.setdefault(str(why), []).append(str(row.get("name", "?")))
    return [f"{'; '.join(names)}: {why}" for why, names in notes.items()]


def _why_skipped(row: Mapping[str, Any]) -> str:
    why = row["skipped"] if isinstance(row["skipped"], str) else row.get("reason") or ""
    return why if why.startswith("skipped") else f"skipped: {why}".rstrip(": ")


def mean_iterations(entry: Mapping[str, Any], name: str) -> str:
    """Write a mean count on unseen instances; where an instance did not converge, say at how many iterations it ended, or why.

    Args:
        entry: Plain dict with NAME_mean, and `cap`, the iterations allowed, and `ended`, why a method ended without a solution.
        name: Which method.

    Returns:
        "9.50", "> 10000", or the name of the reason.
    """
    value = entry.get(f"{name}_mean")
    if value is None or math.isfinite(float(value)):
        return format_number(value)
    reason = (entry.get("ended") or {}).get(name, "maxiter")
    if reason != "maxiter":
        return str(reason)
    return f"> {entry['cap']}" if entry.get("cap") else "not reached"
