"""The few HTML elements that the report page is made of; every text is escaped here."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np

from pdeflow.report.tables import html_table


def paragraph(text: str, kind: str = "") -> str:
    """Return an escaped paragraph.

    Args:
        text: Plain text.
        kind: Class of the style sheet, or "".
    """
    return f"<p{f' class={kind}' if kind else ''}>{html.escape(text)}</p>"


def note(text: str) -> str:
    """Return a paragraph that says what is missing."""
    return paragraph(text, "note")


def heading(text: str) -> str:
    """Return an escaped heading within a section."""
    return f"<h3>{html.escape(text)}</h3>"


def folded(title: str, text: str) -> str:
    """Return preformatted text that opens on a click.

    Args:
        title: Line that is always shown.
        text: Plain text.
    """
    return f"<details><summary>{html.escape(title)}</summary><pre>{html.escape(text)}</pre></details>"


def pairs(values: Mapping[str, Any]) -> str:
    """Return a table of names and values; what is None is left out."""
    return html_table(
        ("quantity", "value"),
        [
            (k, plain(v) if isinstance(v, Mapping | list | tuple) else v)
            for k, v in values.items()
            if v is not None
        ],
    )


def plain(value: object) -> object:
    """Return a setting as one line of text, a float with six digits at most.

    Args:
        value: Number, text, sequence or mapping; a {"class_path", "init_args"} reads as Class(name=value).
    """
    if isinstance(value, Mapping):
        inner = value.get("init_args") or {} if "class_path" in value else value
        text = ", ".join(f"{key}={plain(item)}" for key, item in inner.items())
        return f"{value['class_path']}({text})" if "class_path" in value else text
    if isinstance(value, list | tuple):
        return (
            " × ".join(str(plain(v)) for v in value)
            if _counts(value)
            else ", ".join(str(plain(v)) for v in value)
        )
    return f"{value:.6g}" if isinstance(value, float) else value


def _counts(values: list[Any] | tuple[Any, ...]) -> bool:
    return len(values) > 1 and all(isinstance(v, int) and not isinstance(v, bool) for v in values)


def picture(path: Path, caption: str, limit: int) -> str:
    """Return a figure with the picture inlined and a caption, or a note where there is no usable picture.

    Args:
        path: PNG file.
        caption: One sentence, also the alternative text.
        limit: Most bytes that the picture may take; a larger one is averaged over 2 × 2 pixels until it fits.

    Returns:
        A ``<figure>`` element, or a note.
    """
    if not path.is_file():
        return note(f"Picture {path.name} is not in this run.")
    try:
        content = _within(path.read_bytes(), limit)
    except (OSError, ValueError, SyntaxError) as error:
        return note(f"Picture {path.name} cannot be read ({error}).")
    text = html.escape(caption)
    source = f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
    return f'<figure><img src="{source}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _within(content: bytes, limit: int) -> bytes:
    pixels = np.asarray(
        matplotlib.image.imread(io.BytesIO(content), format="png")
    )  # refuses what is not a PNG
    while len(content) > limit and min(pixels.shape[:2]) >= 32:
        height, width = (n // 2 * 2 for n in pixels.shape[:2])
        even = pixels[:height, :width]
        pixels = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
        file = io.BytesIO()
        matplotlib.image.imsave(file, np.clip(pixels, 0, 1), format="png", cmap="gray", vmin=0, vmax=1)
        content = file.getvalue()
    if len(content) > limit:
        raise ValueError(f"{len(content)} bytes do not fit in {limit}")
    return content
