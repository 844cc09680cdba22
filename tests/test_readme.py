"""What README and docs show runs: their Python blocks are executed, their commands exist with these options."""

import re
import shlex
from pathlib import Path

import pytest

from pdeflow.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(kind):
    for page in PAGES:
        for number, text in enumerate(re.findall(rf"```{kind}\n(.*?)```", page.read_text(), flags=re.S)):
            yield pytest.param(text, id=f"{page.stem}-{number}")


@pytest.mark.parametrize("text", blocks("python"))
def test_python_blocks_run_and_their_assertions_hold(text):
    names: dict = {}
    exec(text, names)
    assert "assert" in text, "a block that asserts nothing shows nothing"


def commands():
    for page in PAGES:
        text = page.read_text()
        found = re.findall(r"^pdeflow .*$", text, flags=re.M) + re.findall(r"`(pdeflow [a-z][^`]*)`", text)
        yield from (pytest.param(line, id=line[:60]) for line in dict.fromkeys(found))


@pytest.mark.parametrize("line", commands())
def test_commands_exist_with_these_options_and_files(line):
    _, command, *rest = shlex.split(line)
    if command in ("COMMAND", "--help"):
        return
    assert command in COMMANDS
    page = (ROOT / "pdeflow" / "cli" / "help" / f"{command}.txt").read_text()
    for word in rest:
        if word.startswith("-"):
            option = word.split("=")[0]
            assert option in page or f"{option.rpartition('.')[0]}.ARG" in page, f"{word} is not on the help page of {command}"
        if word.startswith("configs/"):
            assert (ROOT / word).is_file()


def test_make_targets_exist_and_pictures_are_there():
    text, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    assert set(re.findall(r"^make (\w+)", text, flags=re.M)) == {"demo", "test"}
    assert all(f"\n{target}:" in makefile for target in ("demo", "test"))
    for page in PAGES:
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
