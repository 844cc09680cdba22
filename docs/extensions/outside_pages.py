"""Pages that live elsewhere in the repository: README, changelog, dataset cards and tables of measurements.

They keep their place and their links, which point to files; here each becomes a page of the site, and links follow it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from gallery import GENERATED
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)\s#]+)(?=[)#\s])")


def outside_pages() -> dict[Path, str]:
    """Return the pages by file: their names in the site, without suffix."""
    cards = {path: f"{GENERATED}/datasets/{path.parent.name}" for path in ROOT.glob("datasets/*/README.md")}
    tables = {path: f"{GENERATED}/benchmarks/{path.stem}" for path in ROOT.glob("benchmarks/results/*.md")}
    return {**cards, **tables, ROOT / "CHANGELOG.md": "changelog", ROOT / "README.md": "index"}


def write_stubs(app: Sphinx) -> None:
    """Write one file per card and table that includes it, and remove those of files that are gone."""
    pages = outside_pages()
    wanted = {DOCS / f"{name}.md": path for path, name in pages.items() if name.startswith(GENERATED)}
    for folder in ("datasets", "benchmarks"):
        (DOCS / GENERATED / folder).mkdir(parents=True, exist_ok=True)
        for old in (DOCS / GENERATED / folder).glob("*.md"):
            if old not in wanted:
                old.unlink()
    for stub, path in wanted.items():
        text = f"```{{include}} ../../../{path.relative_to(ROOT).as_posix()}\n```\n"
        if not stub.is_file() or stub.read_text() != text:
            stub.write_text(text)


def follow(text: str, folder: Path) -> str:
    """Let the links of a page lead to pages of the site.

    Args:
        text: Markdown.
        folder: Where the file lies whose links these are.

    Returns:
        The text; links to files that are no pages lead to the files, which the site offers for download.
    """
    pages = outside_pages()

    def target(match: re.Match[str]) -> str:
        path = Path(os.path.normpath(folder / match[1]))  # links are not resolved: the page may be one
        if path in pages:
            return f"/{pages[path]}.md"
        if path.is_relative_to(DOCS):
            return f"/{path.relative_to(DOCS).as_posix()}"
        return f"/../{path.relative_to(ROOT).as_posix()}" if path.is_relative_to(ROOT) else match[1]

    return LINK.sub(target, text)


def on_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Rewrite the links of a page of docs/."""
    if Path(app.env.doc2path(docname)).suffix == ".md":
        source[0] = follow(source[0], (DOCS / docname).parent)


def on_include(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    """Rewrite the links of an included file."""
    if path.suffix == ".md":
        content[0] = follow(content[0], Path(os.path.normpath(DOCS / path)).parent)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to the reading of pages."""
    app.connect("builder-inited", write_stubs, priority=100)
    app.connect("source-read", on_source)
    app.connect("include-read", on_include)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
