import re
from pathlib import Path


def test_readme_example_runs_and_its_assertion_holds():
    text = (Path(__file__).resolve().parents[1] / "README.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    names = {}
    exec(block, names)
    assert names["error"] < 0.01
