"""The README's commands, one after the other, as a new user types them; only the amount of work is reduced."""

import re
import shlex
from pathlib import Path

from pdeflow.cli.main import main

from .conftest import inside

ROOT = Path(__file__).parents[2]
LESS = {
    "generate -c configs/generate/darcy.yaml": ["--count", "20", "--grid", "16,16", "--workers", "1"],
    "fit -c configs/fit/darcy.yaml": ["--trainer.max_steps", "2"],
    "fit -c configs/fit/learned_v_cycle.yaml": ["--trainer.max_steps", "2", "--model.steps_per_epoch", "1"],
    "solve -c configs/solve/darcy.yaml": ["--grid", "32,32"],
}


def test_the_readme_works_from_top_to_bottom(tmp_path, capsys):
    (block,) = re.findall(r"```\n(pdeflow .*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    (tmp_path / "configs").symlink_to(ROOT / "configs", target_is_directory=True)
    with inside(tmp_path):
        for line in block.strip().splitlines():
            words = shlex.split(line)[1:]
            less = next((extra for start, extra in LESS.items() if " ".join(words).startswith(start)), [])
            assert main([*words, *less]) == 0, f"{line}: {capsys.readouterr().err}"
        assert Path("datasets/darcy/manifest.json").is_file()
        assert Path("runs/mine/report.html").is_file()
    assert "learned_v_cycle: converged" in capsys.readouterr().out
