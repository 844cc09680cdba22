"""The code on the page of the adaptation tools runs as it stands."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "adapt.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_block_of_the_page_runs_on_its_own(number):
    assert "assert" in BLOCKS[number]
    exec(BLOCKS[number], {})
