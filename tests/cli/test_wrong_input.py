"""Wrong input gets one clear line and the right exit code, and nothing half-written is left behind."""

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import yaml

from pdeflow.cli.experiment import bracketed, command_of, configs, one_resolution, read, refuse_other_command
from pdeflow.cli.main import main
from pdeflow.errors import UsageError

from .conftest import TINY, inside

A = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(6, 6), format="csr")


def fit_settings(data, **changes):
    """Settings of a tiny training on a dataset, with dotted changes."""
    content = {key: TINY[key] for key in ("name", "problem")} | yaml.safe_load(
        yaml.safe_dump(TINY["fit.operator"])
    )
    content["data"]["init_args"]["path"] = str(data)
    for path, value in changes.items():
        target = content
        *parents, last = path.split("__")
        for parent in parents:
            target = target[parent]
        target[last] = value
    Path("fit.yaml").write_text(yaml.safe_dump(content))
    return ["fit", "-c", "fit.yaml", "--out", "run"]


def shard(folder):
    return next((folder / "data" / "train").glob("*.hdf5"))


def with_nan(data):
    with h5py.File(shard(data), "r+") as file:
        file["t0_fields/u"][2] = np.nan
    return fit_settings(data)


def truncated(data):
    path = shard(data)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return fit_settings(data)


def of_another_class(data):
    assert main(fit_settings(data, trainer__max_epochs=1)) == 0
    network = {"class_path": "pdeflow.models.FNO", "init_args": {"n_modes": [4, 4], "hidden_channels": 8}}
    command = fit_settings(data, model__init_args__network=network)
    return [*command[:-1], "other", "--ckpt_path", "run/fit/checkpoints/last.ckpt"]


def matrix(name, value):
    (scipy.io.mmwrite if name.endswith(".mtx") else sp.save_npz)(name, value)
    return name


def right_hand_side(data):
    np.save("b.npy", np.ones(5))
    return ["solve", matrix("A.mtx", A), "--rhs", "b.npy"]


def empty(data):
    Path("empty.yaml").write_text("# nothing\n")
    return ["run", "empty.yaml"]


NETWORK = "model__init_args__network__init_args__"
CASES = {  # name: (arguments from a dataset folder, exit code, words of the message)
    "missing file": (lambda data: ["solve", "nowhere.mtx"], 2, ["nowhere.mtx", "not found"]),
    "missing dataset": (lambda data: fit_settings("nowhere"), 2, ["nowhere", "pdeflow generate"]),
    "missing dataset, no --out": (lambda data: fit_settings("nowhere")[:-2], 2, ["nowhere", "pdeflow generate"]),
    "half an option": (lambda data: [*fit_settings(data), "--trainer.max_epoch=1"], 2, ["unknown option 'trainer.max_epoch'"]),
    "NaN in the data": (with_nan, 4, ["'u'", "not finite", "sample 2"]),
    "more modes than points": (lambda data: fit_settings(data, **{NETWORK + "n_modes": [24, 24]}), 2, ["24", "16"]),
    "channel mismatch": (lambda data: fit_settings(data, **{NETWORK + "in_channels": 3}), 2, ["in_channels"]),
    "unknown option": (lambda data: fit_settings(data, **{NETWORK + "hiden_channels": 3}), 2, ["hiden_channels", "did you mean 'hidden_channels'"]),
    "unknown class": (lambda data: [*fit_settings(data), "--optimizer=pdeflow.optim.Muno"], 2, ["pdeflow.optim", "did you mean 'Muon'?"]),
    "class without its module": (lambda data: [*fit_settings(data), "--optimizer=Moun"], 2, ["optimizer: 'Moun'", "write pdeflow.optim.Muon"]),
    "class of torch": (lambda data: [*fit_settings(data), "--optimizer=adamv"], 2, ["optimizer: ", "write torch.optim.Adam"]),
    "word that is near no class": (lambda data: [*fit_settings(data), "--optimizer=qqq"], 2, ["'qqq'", "one of pdeflow.optim or torch.optim (--help-all"]),
    "network without its module": (lambda data: [*fit_settings(data), "--model.network=TFNOO"], 2, ["model.network: 'TFNOO'", "write pdeflow.models.TFNO"]),
    "problem without its module": (lambda data: ["generate", "--problem=Darci"], 2, ["problem: 'Darci'", "write pdeflow.problems.Darcy"]),
    "word for a number": (lambda data: [*fit_settings(data), "--optimizer=pdeflow.optim.Muon", "--optimizer.lr=x"], 2, ["optimizer.lr: ", "number", "x"]),
    "one number for a list": (lambda data: fit_settings(data, **{NETWORK + "n_modes": 8}), 2, ["network.n_modes: ", "list such as [8, 8]", "8"]),
    "word for a count": (lambda data: [*fit_settings(data), "--trainer.max_epochs=x"], 2, ["trainer.max_epochs: ", "integer", "x"]),
    "unknown flag": (lambda data: ["generate", "--problem=pdeflow.problems.Darcy", "--girdd=3"], 2, ["girdd"]),
    "negative rtol": (lambda data: ["solve", matrix("A.mtx", A), "--rtol=-1e-8"], 2, ["rtol", "-1e-08"]),
    "rtol beyond float64": (lambda data: ["solve", matrix("A.npz", A.astype(np.float32)), "--rtol", "1e-17"], 2, ["1e-17", "1e-15"]),
    "A not square": (lambda data: ["solve", matrix("A.npz", A[:, :4])], 2, ["(6, 4)", "square"]),
    "b of wrong length": (right_hand_side, 2, ["6x6", "(5,)"]),
    "truncated HDF5": (truncated, 4, ["damaged", "hdf5"]),
    "checkpoint of another class": (of_another_class, 4, ["does not fit", "FNO"]),
    "empty settings": (empty, 2, ["empty.yaml", "empty"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_clear_line_and_the_right_exit_code(name, experiment, tmp_path, capsys):
    make, code, words = CASES[name]
    data = tmp_path / "dataset"
    shutil.copytree(experiment / "runs" / "tiny" / "latest" / "generate", data)
    with inside(tmp_path):
        arguments = make(data)
        folders = {path for path in tmp_path.rglob("*") if path.is_dir()}
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        capsys.readouterr()
        found = main(arguments)
        after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    error = capsys.readouterr().err.strip()
    assert found == code, error
    assert len(error.splitlines()) == 1
    assert error.startswith(f"{arguments[0]}: ")
    assert not [word for word in words if word not in error], error
    written = {path.name for path in after if after[path] != before.get(path)}
    assert not written, written
    assert {path for path in tmp_path.rglob("*") if path.is_dir()} == folders


def test_a_tolerance_that_is_not_reached_is_exit_code_3(tmp_path, capsys):
    with inside(tmp_path):
        matrix("A.mtx", sp.diags_array(np.logspace(0, 8, 300), format="csr"))
        assert (
            main(
                [
                    "solve",
                    "A.mtx",
                    "--method",
                    "cg",
                    "--preconditioner",
                    "none",
                    "--maxiter",
                    "5",
                    "--out",
                    "x.npy",
                ]
            )
            == 3
        )
        assert "maxiter" in capsys.readouterr().out
        assert not Path("x.npy").exists()


@pytest.mark.parametrize("command", ["fit", "generate", "solve --run", "solve --out"])
@pytest.mark.parametrize("folder", ["taken/run", "taken", "/proc/nowhere"])
def test_a_folder_that_cannot_be_made_is_named_with_the_reason(command, folder, experiment, tmp_path, capsys):
    with inside(tmp_path):
        Path("taken").write_text("a file")
        arguments = {
            "fit": [*fit_settings(experiment / "runs" / "tiny" / "latest" / "generate")[:-1], folder],
            "generate": ["generate", "--problem=pdeflow.problems.Darcy", "--count", "2", "--grid", "8,8", "--out", folder],
            "solve --run": ["solve", matrix("A.npz", A), "--run", folder],
            "solve --out": ["solve", matrix("A.npz", A), "--out", f"{folder}/x.npy"],
        }[command]
        assert main([*arguments, "-q"]) == 2
        assert Path("taken").read_text() == "a file"
    error = capsys.readouterr().err
    assert re.fullmatch(rf"\w+: folder {folder}\S* cannot be created \([A-Z][a-z ]+\); name another, .*\n", error), error


@pytest.mark.parametrize("command", ["generate", "fit", "predict", "report"])
def test_a_place_that_may_not_be_written_to_is_refused_before_the_work(command, experiment, tmp_path, capsys, monkeypatch):
    run = experiment / "runs" / "tiny" / "latest"
    with inside(tmp_path):
        arguments = {
            "generate": ["generate", "--problem=pdeflow.problems.Darcy", "--count", "2", "--grid", "8,8"],
            "fit": fit_settings(run / "generate"),
            "predict": ["predict", str(run), "--out", "p.npz"],
            "report": ["report", str(run)],
        }[command]
        monkeypatch.setattr("os.access", lambda *_: False)  # the rules of the system do not bind its administrator
        assert main(arguments) == 2
        assert not [path for path in tmp_path.iterdir() if path.name != "fit.yaml"]
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "(Permission denied)" in error or command == "report"
    assert ("pdeflow report COPY" if command == "report" else "with --out") in error


SINGLE = sorted(path for kind in ("fit", "generate", "solve") for path in (configs() / kind).glob("*.yaml"))


@pytest.mark.parametrize("path", SINGLE, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_settings_file_belongs_to_its_command_and_no_other(path):
    kind = command_of(read(path))
    assert kind == path.parent.name or (kind is None and set(read(path)) <= {"name", "problem", "grid"})
    for command in ("run", "generate", "fit", "solve"):
        if kind in (None, command):
            refuse_other_command(path, read(path), command)
        else:
            with pytest.raises(UsageError, match=f"is a settings file of `pdeflow {kind}`, not of {command}; use it with"):
                refuse_other_command(path, read(path), command)


@pytest.mark.parametrize("command", [["solve", "-c"], ["generate", "-c"], ["run"]])
def test_a_settings_file_of_another_command_is_refused_in_one_line(command, capsys):
    assert main([*command, str(configs() / "fit" / "darcy.yaml")]) == 2
    error = capsys.readouterr().err
    assert "darcy.yaml is a settings file of `pdeflow fit`" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("given", [["--grid", "64x32"], ["--grid=64X32"], ["--grid", "64×32"], ["--grid", "64", "32"], ["--grid", "64*32", "-q"]])
@pytest.mark.parametrize("command", ["solve", "generate"])
def test_a_grid_without_commas_is_answered_with_one(command, given, capsys):
    assert main([command, "--problem=pdeflow.problems.Darcy", *given]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{command}: ")
    assert error.endswith("; write --grid 64,32\n")


@pytest.mark.parametrize("given", ["64,32", "[64,32]", "[64, 32]", "64"])
def test_a_grid_with_commas_is_a_list(given):
    inner = given.strip("[]")
    assert bracketed(["--grid", given, "-q"], "--grid") == ["--grid", f"[{inner}]", "-q"]
    assert bracketed([f"--grid={given}"], "--grid") == [f"--grid=[{inner}]"]


def test_a_mesh_size_on_the_command_line_replaces_the_grid_of_the_file_and_the_reverse():
    file = {"grid": [32, 32], "name": "darcy"}
    assert one_resolution(file, ["--h", "0.1"]) == {"name": "darcy"}
    assert one_resolution(file, ["--h=0.1"]) == {"name": "darcy"}
    assert one_resolution({"h": 0.1}, ["--grid", "[8, 8]"]) == {}
    assert one_resolution(file, ["--seed=3"]) == file
