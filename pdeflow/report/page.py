"""The report page of a run: one HTML file with everything in it, no script and nothing from elsewhere.

Light or dark by the reader's preference.
"""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pdeflow.errors import UsageError
from pdeflow.report import sections
from pdeflow.report.elements import note
from pdeflow.report.run_files import RunFiles
from pdeflow.report.style_sheet import STYLE
from pdeflow.report.verdict import (
    Finding,
    accuracy_findings,
    data_finding,
    overall,
    solve_findings,
    trust_finding,
)

SECTIONS: tuple[tuple[str, str, Callable[[RunFiles], str]], ...] = (
    ("problem", "Problem", sections.problem),
    ("data", "Data", sections.data),
    ("models", "Models", sections.models),
    ("training", "Training", sections.training),
    ("accuracy", "Accuracy", sections.accuracy),
    ("trust", "Trust", sections.trust),
    ("solve", "Solve", sections.solve),
    ("reproduce", "Reproduce", sections.reproduce),
)
OF_DATA = 2
"""Sections, the first ones, that a dataset has."""
OF_SOLVE = ("problem", "solve", "reproduce")
"""Sections of a run that only solved."""
SENTENCES = {
    "green": "Everything checked holds.",
    "amber": "Nothing failed; read the points in amber.",
    "red": "Something does not hold.",
}
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1><p class="soft">{subtitle}</p></header>
{verdict}
<nav aria-label="Contents">{contents}</nav>
{body}
</body>
</html>
"""


def write_report(run: Path) -> Path:
    """Write RUN/report.html from what the run's stages left behind; a stage that has not run is said so.

    Args:
        run: Folder of the run, or of a dataset, whose page has the sections on the problem and the data.

    Returns:
        The page: self-contained, under 5 MB.

    Raises:
        UsageError: If there is no such folder.
    """
    run = Path(run)
    if not run.is_dir():
        raise UsageError(f"run folder {run} not found; pdeflow run or pdeflow fit make one under runs/")
    page = _page(RunFiles(run))
    path = run / "report.html"
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(page, encoding="utf-8", errors="replace")
    os.replace(aside, path)
    return path


def _page(run: RunFiles) -> str:
    made = run.json("run.json") or {}
    shown = SECTIONS[:OF_DATA] if run.is_dataset else SECTIONS
    if run.only_solved:
        shown = tuple(section for section in SECTIONS if section[0] in OF_SOLVE)
    body = "\n".join(
        f'<section id="{key}"><h2>{title}</h2>\n{_guarded(section, run)}\n</section>'
        for key, title, section in shown
    )
    folder = run.folder.resolve().name
    facts = [folder if folder != run.name else None, made.get("started"), made.get("machine")]
    return PAGE.format(
        title=html.escape(f"pdeflow: {run.name}"),
        style=STYLE,
        subtitle=html.escape(" · ".join(str(fact) for fact in facts if fact)),
        verdict=verdict(run),
        contents=" ".join(f'<a href="#{key}">{title}</a>' for key, title, _ in shown),
        body=body,
    )


def _guarded(section: Callable[[RunFiles], str], run: RunFiles) -> str:
    """Write one section, or why its files could not be understood: one odd file must not cost the whole page."""
    try:
        return section(run)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return note(
            f"The files of this section have an unexpected content ({type(error).__name__}: {error})."
        )


def verdict(run: RunFiles) -> str:
    """Return the verdict box: one coloured sentence per thing that was checked.

    Args:
        run: Files of the run.

    Returns:
        HTML; the box has the colour of its worst sentence.
    """
    try:
        findings = _findings(run)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        findings = [
            Finding("red", f"The summaries have an unexpected content ({type(error).__name__}: {error}).")
        ]
    findings += [Finding("red", text) for text in run.damaged]
    colour = overall(findings)
    items = "\n".join(
        f'<li><span class="badge {f.colour}">{f.colour}</span> <span>{html.escape(f.text)}</span></li>'
        for f in findings
    )
    return (
        f'<section class="verdict {colour}" id="verdict"><h2>Verdict: {SENTENCES[colour]}</h2>\n'
        f"<ul>\n{items}\n</ul></section>"
    )


def _findings(run: RunFiles) -> list[Finding]:
    solves, evaluations = run.summaries("solve"), run.summaries("evaluate")
    if run.only_solved:
        return [found for stage, summary in solves.items() for found in _of_stage(stage, solve_findings(summary), len(solves))]
    findings = [data_finding(run.manifest())]
    if run.is_dataset:
        return findings
    none: dict[str, dict[str, Any] | None] = {"": None}
    for stage, summary in (dict(evaluations) or none).items():
        findings += _of_stage(stage, [*accuracy_findings(summary), trust_finding(summary)], len(evaluations))
    for stage, summary in (dict(solves) or none).items():
        findings += _of_stage(stage, solve_findings(summary), len(solves))
    return findings


def _of_stage(stage: str, findings: list[Finding], stages: int) -> list[Finding]:
    """Name the stage in front of its findings where there are several."""
    return [Finding(f.colour, f"{stage}: {f.text}") for f in findings] if stages > 1 else findings
