"""Docstrings as they are written in this package, plain text with `code`, made readable to docutils.

In reStructuredText *grid, |x| and a_j would be mark-up; here they are mathematics.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from sphinx.application import Sphinx

CODE = re.compile(r"(``.+?``|`[^`]+`)")
COLON = "\uf8ff"
"""Stands for the colons of an attribute's first line, which Napoleon would take for the end of a type."""


def as_text(line: str) -> str:
    """Escape mark-up outside of backticks, and show what is in single ones as code.

    Args:
        line: One line of a docstring.
    """
    parts = CODE.split(line)
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = part if part.startswith("``") else f"`{part}`"
        else:
            parts[i] = re.sub(r"([\\*|]|_(?=\W|$))", r"\\\1", part)
    return "".join(parts)


def process(app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Rewrite the lines of a docstring in place, before Napoleon reads its sections."""
    if type(item).__module__.startswith("sphinx") or not (name == "pdeflow" or name.startswith("pdeflow.")):
        return
    lines[:] = [as_text(line) for line in lines]
    if what in ("attribute", "data", "property") and lines:
        lines[0] = lines[0].replace(":", COLON)


def restore(app: Sphinx, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Put the colons back, after Napoleon."""
    lines[:] = [line.replace(COLON, ":") for line in lines]


def once(app: Sphinx, what: str, name: str, item: Any, skip: bool, options: Any) -> bool | None:
    """Leave a name out of a module's page where a package above it has it in its own list of public names."""
    parts = app.env.current_document.autodoc_module.split(".")
    if what == "module":
        for depth in range(1, len(parts)):
            package = importlib.import_module(".".join(parts[:depth]))
            if any(getattr(package, public, None) is item for public in getattr(package, "__all__", ())):
                return True
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to autodoc: on both sides of Napoleon, whose priority is 500, and to its choice of names."""
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-process-docstring", restore, priority=600)
    app.connect("autodoc-skip-member", once)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
