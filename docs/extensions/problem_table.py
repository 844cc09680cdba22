"""The table of all problems, read from the classes and the settings files: `{problem-table}` on a page.

Nothing in it is written by hand, so it lists what the package has.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import pdeflow.problems
from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid, MappedGrid, Mesh
from pdeflow.problems import Elliptic, Evolution, Manufactured, Problem

ROOT = Path(__file__).resolve().parents[2]
HEADER = ("class", "equation", "layout", "formula", "settings file")


def problem_classes() -> list[type[Problem]]:
    """Return the problems of the package that can be drawn from, in alphabetical order."""
    named = [getattr(pdeflow.problems, name) for name in pdeflow.problems.__all__]
    abstract = (Problem, Elliptic, Evolution, Manufactured)
    return [
        item
        for item in named
        if isinstance(item, type) and issubclass(item, Problem) and item not in abstract
    ]


def rows() -> list[tuple[str, ...]]:
    """Return one row per problem, in Markdown, in the order of `HEADER`."""
    files = settings_files()
    return [
        (
            f"{{py:class}}`~pdeflow.problems.{kind.__name__}`",
            equation(kind),
            layout(kind()),
            reference(kind),
            ", ".join(
                f"`{name.removeprefix('generate/')}`"
                for name in files.get(f"pdeflow.problems.{kind.__name__}", ())
            )
            or "none",
        )
        for kind in problem_classes()
    ]


def settings_files() -> dict[str, list[str]]:
    """Return the files of configs/generate by the class path of their problem."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "configs" / "generate").glob("*.yaml")):
        problem = yaml.safe_load(path.read_text(encoding="utf-8"))["problem"]
        found.setdefault(problem["class_path"], []).append(path.relative_to(ROOT / "configs").as_posix())
    return found


def equation(kind: type[Problem]) -> str:
    """Return the first line of a class's docstring, where its equation stands; columns of a table must not break."""
    line = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ").rstrip(".")
    return re.sub(r"([\\*|_<\[\]])", r"\\\1", line)


def layout(problem: Problem) -> str:
    """Say on what the problem is discretized, and whether two draws share it."""
    draws = [problem.sample(seeds.generator(0, seeds.INPUTS, i)) for i in range(2)]
    words = []
    for resolution in (problem.resolution, (32, 32), 0.25):
        try:
            first, second = (problem.layout(draw, resolution) for draw in draws)
        except UsageError:
            continue
        words.append(in_words(first, shared=first is second or first == second))
    frames = f"; {len(problem.times)} frames" if len(problem.times) > 1 else ""
    return " or ".join(dict.fromkeys(words)) + frames


def in_words(found: Grid | MappedGrid | Mesh, *, shared: bool) -> str:
    """Name a layout."""
    if isinstance(found, Grid):
        return f"{'periodic ' if all(found.periodic) else ''}grid of {found.location}s"
    name = (
        "mapped grid"
        if isinstance(found, MappedGrid)
        else {"tri": "triangles"}.get(found.cell_type, found.cell_type)
    )
    return name if shared else f"{name}, one per sample"


def reference(kind: type[Problem]) -> str:
    """Say which formulas there are to compare a solution with."""
    found = ["`exact`"] if kind.exact is not Problem.exact else []
    if issubclass(kind, Elliptic):
        found.append("`Manufactured`")
    return ", ".join(found) or "none"


class ProblemTable(SphinxDirective):
    """`{problem-table}`."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        lines = [HEADER, ("---",) * len(HEADER), *rows()]
        return self.parse_text_to_nodes("\n".join(f"| {' | '.join(line)} |" for line in lines))


def setup(app: Sphinx) -> dict[str, Any]:
    """Name the directive."""
    app.add_directive("problem-table", ProblemTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
