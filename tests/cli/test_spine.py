"""generate → fit → evaluate → solve → report on one small experiment: what each stage leaves agrees with the others."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import pdeflow
from pdeflow.cli.main import main
from pdeflow.data import PDEDataset
from pdeflow.problems import Darcy

from .conftest import TINY

LATEST = Path("runs/tiny/latest")


def summary(stage):
    return json.loads((LATEST / stage / "summary.json").read_text())


def test_every_stage_and_at_least_eight_pictures_are_there(here):
    pictures = sorted((LATEST / "figures").glob("*.png"))
    assert len(pictures) >= 8
    page = (LATEST / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 8
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    assert (LATEST / "run.json").is_file()


def test_the_stored_solve_is_verified_by_an_independent_expression(here):
    from pdeflow import seeds

    found, x = summary("solve"), np.load(LATEST / "solve" / "x.npy")
    problem = Darcy(modes=8)
    system = problem.system(problem.sample(seeds.generator(3, seeds.SOLVE, 0)), problem.grid((32, 32)))
    assert np.linalg.norm(system.b - system.A @ x) <= 1e-8 * np.linalg.norm(system.b)
    assert found["solution"]["converged"]
    names = [row["name"] for row in found["rows"]]
    assert {"CG", "direct", "learned cycle, untrained", "learned cycle, trained"} <= set(names)
    assert sum(row["winner"] for row in found["rows"]) == 1
    quickest = min(found["rows"], key=lambda row: row["seconds_setup"] + row["seconds_solve"])
    assert quickest["name"] == found["winner"]


def test_a_second_call_reuses_every_stage(here, capsys):
    run = LATEST.resolve()
    assert main(["run", "tiny.yaml"]) == 0
    assert capsys.readouterr().out.count("unchanged, reused") == 5
    assert LATEST.resolve() == run


def test_a_change_of_one_section_keeps_the_stages_that_do_not_read_it(here, capsys):
    changed = TINY | {"solve": TINY["solve"] | {"unseen": 0}, "name": "tiny"}
    Path("changed.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    before = LATEST.resolve()
    assert main(["run", "changed.yaml"]) == 0
    assert capsys.readouterr().out.count("unchanged, reused") == 4
    assert LATEST.resolve() != before
    assert main(["run", "tiny.yaml"]) == 0  # back again, for the tests that follow


def test_test_on_a_run_folder_gives_the_numbers_of_evaluate(here, capsys):
    assert main(["test", str(LATEST)]) == 0
    printed = dict(re.findall(r"test/(\w+) ([\d.e+-]+)", capsys.readouterr().out))
    expected = summary("evaluate")["metrics"]
    for name in ("rel_l2", "rel_h1", "max_error"):
        assert float(printed[name]) == pytest.approx(expected[name]["mean"], rel=2e-5)


def test_evaluating_something_else_keeps_the_evaluation_on_the_test_split(here, capsys):
    run = Path("runs/tiny/latest")
    before = {path: path.read_bytes() for path in [*run.glob("evaluate/*"), *run.glob("figures/*")] if path.is_file()}
    assert main(["evaluate", str(run), "--split", "valid"]) == 0
    assert "evaluate.generate.valid" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in before} == before
    shutil.rmtree(run / "evaluate.generate.valid")


def test_validate_repeats_the_best_metric_of_the_training(here, capsys):
    assert main(["validate", str(LATEST / "fit.operator")]) == 0
    value = float(re.search(r"val/rel_l2 ([\d.e+-]+)", capsys.readouterr().out).group(1))
    assert value == pytest.approx(summary("fit.operator")["best"]["value"], rel=1e-5)


def test_predict_writes_what_load_predicts(here, tmp_path):
    assert main(["predict", str(LATEST), "--out", str(tmp_path / "u.npz")]) == 0
    stored = np.load(tmp_path / "u.npz")
    a, _ = PDEDataset(LATEST / "generate", "test").tensors()
    np.testing.assert_allclose(stored["u"], pdeflow.load(LATEST).predict(a.numpy()), rtol=1e-5)


def test_load_in_a_fresh_process_needs_the_run_folder_only_and_repeats_the_predictions(here, tmp_path):
    import shutil

    a, _ = PDEDataset(LATEST / "generate", "test").tensors()
    expected = pdeflow.load(LATEST).predict(a.numpy())
    np.save(tmp_path / "a.npy", a.numpy())
    copy = tmp_path / "copy"
    shutil.copytree(LATEST.resolve(), copy, ignore=shutil.ignore_patterns("generate", "checkpoints", "logs"))
    code = (
        "import sys, pickle\n"
        "def refuse(*_, **__): raise RuntimeError('pickle was used')\n"
        "import numpy as np, pdeflow, torch\n"
        "pickle.Unpickler = pickle.load = pickle.loads = torch.load = refuse\n"
        "np.save('u.npy', pdeflow.load('copy').predict(np.load('a.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert np.array_equal(np.load(tmp_path / "u.npy"), expected)


def test_a_loaded_operator_estimates_its_error(here):
    dataset = PDEDataset(LATEST / "generate", "test", dtype=torch.float64)
    a, u = dataset.tensors()
    trained = pdeflow.load(LATEST)
    prediction, error = trained.predict(a[:2], error=True)
    true = prediction - u[:2]
    assert (error - true).norm() < 0.1 * true.norm()
    with pytest.warns(UserWarning, match=r"leave the training range: a is in .*, the training range is \[3, 12\]: .* above"):
        trained.predict(3 * a[0, 0])
    assert trained.predict(a[0, 0].numpy()).shape == (16, 16)
    assert "TFNO" in trained.summary()


def test_a_loaded_preconditioner_serves_solve(here, darcy_system_32):
    cycle = pdeflow.load(LATEST / "fit.preconditioner")
    solution = pdeflow.solve(darcy_system_32, preconditioner=cycle.network, rtol=1e-10)
    assert solution.converged
    assert solution.preconditioner == "learned_v_cycle"
    assert cycle.setup(darcy_system_32).shape == (1024, 1024)


@pytest.fixture
def darcy_system_32():
    from pdeflow import seeds

    problem = Darcy()
    return problem.system(problem.sample(seeds.generator(0, seeds.SOLVE, 1)), problem.grid((32, 32)))


def test_info_names_what_is_in_each_place(here, capsys):
    for path, text in (
        (LATEST / "generate", "21 samples"),
        (LATEST, "fit.operator"),
        ("tiny.yaml", "fit.preconditioner"),
    ):
        assert main(["info", str(path)]) == 0
        assert text in capsys.readouterr().out


def test_info_knows_predictions_and_aligns_the_stages(here, tmp_path, capsys):
    assert main(["predict", str(LATEST), "--out", str(tmp_path / "p.npz")]) == 0
    capsys.readouterr()
    assert main(["info", str(tmp_path / "p.npz")]) == 0
    assert "u, 5 samples of 1 × 16 × 16 (channels, grid); index, their numbers in the split" in capsys.readouterr().out
    assert main(["info", str(LATEST)]) == 0
    lines = capsys.readouterr().out.splitlines()
    width = len("fit.preconditioner") + 1
    assert all(line[width - 1] == " " != line[width] for line in lines)
    assert any(line.startswith("fit.operator       operator, pdeflow.models.TFNO, val/rel_l2 0.") for line in lines)


def test_a_network_of_the_other_kind_is_answered_with_what_it_is_for(here, capsys):
    assert main(["evaluate", str(LATEST / "fit.preconditioner")]) != 0
    assert "holds a trained preconditioner, which proposes no solution of its own: pdeflow solve --preconditioner RUN uses it" in capsys.readouterr().err
    assert main(["solve", "--problem=pdeflow.problems.Darcy", "--grid=32,32", f"--preconditioner={LATEST / 'fit.operator'}"]) != 0
    assert "holds a trained operator, which predicts: pdeflow evaluate RUN" in capsys.readouterr().err


def test_the_report_is_rebuilt_from_the_folder(here):
    (LATEST / "report.html").unlink()
    assert main(["report", str(LATEST)]) == 0
    assert (LATEST / "report.html").stat().st_size > 100_000


def test_nothing_is_written_outside_the_runs(here):
    assert {path.name for path in here.iterdir()} <= {"runs", "tiny.yaml", "changed.yaml"}
