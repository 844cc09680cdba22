"""A dataset by its folder alone: `generate --resume --out DIR` goes on to the same bytes, `report DIR` writes its page."""

import shutil

import pytest

from pdeflow.cli.main import main
from pdeflow.data.hdf5 import sha256

BEGIN = ["generate", "--problem", "pdeflow.problems.LogNormalDarcy", "--problem.alpha", "2.5", "--count", "24", "--grid", "12,12"]


@pytest.fixture(scope="module")
def sorted_dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "sorted"
    assert main([*BEGIN, "--order", "similar", "--method", "def_cg_jacobi", "--seed", "3", "--out", str(root), "-q"]) == 0
    return root


def digests(root):
    return {path.relative_to(root).as_posix(): sha256(path) for path in sorted(root.rglob("*.hdf5"))}


def test_resume_needs_the_folder_only(sorted_dataset, tmp_path, capsys):
    root = tmp_path / "again"
    shutil.copytree(sorted_dataset, root)
    (root / "manifest.json").unlink()
    shutil.rmtree(root / "data" / "valid")
    assert main(["info", str(root)]) == 0
    command = capsys.readouterr().out.splitlines()[1].removeprefix("go on with  pdeflow ")
    assert main([*command.split(), "-q"]) == 0
    assert digests(root) == digests(sorted_dataset)
    assert main(["generate", "--resume", "--out", str(root), "--seed", "4", "-q"]) == 2
    assert "was started with seed = 3, now it is 4" in capsys.readouterr().err


@pytest.mark.parametrize(("rest", "told"), [([], "got no --out"), (["--out", "nowhere"], "nothing was begun in nowhere")])
def test_resume_of_nothing_is_refused(rest, told, capsys):
    assert main(["generate", "--resume", *rest]) == 2
    assert told in capsys.readouterr().err


def test_a_sorted_dataset_says_what_sorting_brought_in_info_and_report(sorted_dataset, capsys):
    assert main(["info", str(sorted_dataset)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("order       sorted by similarity, neighbours at 0.")
    assert "iterations in the median" in last
    assert last.endswith(" without")
    assert main(["report", str(sorted_dataset)]) == 0
    page = (sorted_dataset / "report.html").read_text(encoding="utf-8")
    assert "distance of neighbours" in page
    assert "with how many iterations along its chain" in page
    for absent in ("Models", "Training", "The solvers that suit this problem"):  # no run, and no race: the method was named
        assert absent not in page
