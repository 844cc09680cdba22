"""The examples as a gallery: titles for Sphinx-Gallery, and the pictures that a script writes into its folder.

Sphinx-Gallery manual, sections "Structuring Python scripts" and "Write a custom image scraper".
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

GENERATED = "generated"
"""Folder in docs/ for everything that a build writes there; Git ignores it."""
HEADER = """Examples
========

Flat scripts, each of which ends in a number that a test asserts. They were run when this site was built.
"""


def with_title(source: str) -> str:
    """Turn the first sentence of a script's docstring, up to a colon, into a title.

    Args:
        source: Text of a script whose first line opens its docstring.
    """
    first, rest = source.removeprefix('"""').split("\n", 1)
    closed = first.endswith('"""')
    sentence = first.removesuffix('"""')
    title = sentence.split(":")[0].rstrip(".")
    more = "" if title == sentence.rstrip(".") else f"\n{sentence}\n"
    end = '"""\n' if closed else ""
    return f'"""\n{title}\n{"=" * len(title)}\n{more}{end}{rest}'


def stage_examples(source: Path, target: Path) -> None:
    """Copy the scripts with titles; unchanged ones keep their dates, so that a second build does not run them.

    Args:
        source: Folder of the examples.
        target: Folder that Sphinx-Gallery reads, and in which it runs them.
    """
    target.mkdir(parents=True, exist_ok=True)
    wanted = {path.name: with_title(path.read_text(encoding="utf-8")) for path in sorted(source.glob("*.py"))}
    wanted["GALLERY_HEADER.rst"] = HEADER
    for old in target.iterdir():
        if old.is_file() and old.suffix in (".py", ".png", ".csv") and old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        path = target / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


class PicturesInFolder:
    """Image scraper that takes the PNG files which a script wrote beside itself, and drops their tables."""

    def __repr__(self) -> str:
        return type(self).__name__

    def __call__(self, block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
        """Move new pictures to the gallery and return the text that shows them.

        Args:
            block: Block of the script, not used.
            block_vars: What Sphinx-Gallery knows of the block.
            gallery_conf: Its settings.
        """
        folder, names = Path(block_vars["src_file"]).parent, []
        for picture in sorted(folder.glob("*.png")):
            target = next(block_vars["image_path_iterator"])
            shutil.move(picture, target)
            picture.with_suffix(".csv").unlink(missing_ok=True)
            names.append(target)
        return figure_rst(names, gallery_conf["src_dir"])
