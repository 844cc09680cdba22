"""`pdeflow fit` with every optimizer of pdeflow.optim by its class path: bitwise resume, and what must not run is refused."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from pdeflow import optim
from pdeflow.cli.main import main
from pdeflow.cli.metrics_log import read_rows

from .conftest import inside

ABSTRACT = {"MatrixOptimizer"}  # takes a chain; presets are its settings
FOUND = {name: getattr(optim, name) for name in optim.__all__}
CLASSES = {name for name, c in FOUND.items() if isinstance(c, type) and issubclass(c, torch.optim.Optimizer)}
OPTIMIZERS = sorted(CLASSES - ABSTRACT)
OPTIONS = {
    "Trion": {"rank": 3}, "DCTAdamW": {"rank": 3}, "PolarGrad": {"lr": 1e-2}, "MFAC": {"damping": 1.0},
    "NystromNewtonCG": {"rank": 8}, "SOAP": {"refresh": 2}, "KLShampoo": {"refresh": 2}, "Shampoo": {"refresh": 2},
}  # fmt: skip
STEPS, HALF = 12, 2
"""Steps of a whole training, in four epochs, and the epochs after which it is stopped; refreshes fall before and after."""
DARCY = {"class_path": "pdeflow.problems.Darcy", "init_args": {"modes": 4}}
SIZES = {"n_modes": [4, 4], "hidden_channels": 8, "n_layers": 1, "rank": 0.3}
NETWORK = {"class_path": "pdeflow.models.TFNO", "init_args": SIZES}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six training samples on 8 x 8 cells."""
    folder = tmp_path_factory.mktemp("data")
    with inside(folder):
        settings = {"problem": DARCY, "count": {"train": 6, "valid": 2, "test": 1}, "grid": [8, 8]}
        Path("generate.yaml").write_text(yaml.safe_dump(settings))
        assert main(["generate", "-c", "generate.yaml", "--out", "darcy", "-q"]) == 0
    return folder / "darcy"


@pytest.fixture
def fit(tmp_path, data):
    """Write settings and run `pdeflow fit` on them."""

    def run(name, out, *flags, network=NETWORK, **options):
        path = name if "." in name else f"pdeflow.optim.{name}"
        content = {"name": "tiny", "optimizer": {"class_path": path, "init_args": {**OPTIONS.get(name, {}), **options}}}
        content |= on_points() if needs_points(name) else on_data(data, network)
        with inside(tmp_path):
            Path("fit.yaml").write_text(yaml.safe_dump(content))
            return main(["fit", "-c", "fit.yaml", "--out", out, "-q", *flags])

    return run


def needs_points(name):
    kind = FOUND.get(name)
    return kind is optim.SelfScaledQN or getattr(kind, "requires_residual", False)


def on_data(data, network):
    return {
        "problem": DARCY,
        "model": {"class_path": "pdeflow.tasks.OperatorLearning", "init_args": {"network": network}},
        "data": {"class_path": "pdeflow.data.PDEDataModule", "init_args": {"path": str(data), "batch_size": 2}},
        "lr_scheduler": {"class_path": "pdeflow.optim.WarmupCosine", "init_args": {"total_steps": STEPS}},
        "trainer": {"max_epochs": 4},
    }


def on_points():
    task = {"network": {"class_path": "pdeflow.models.MLP", "init_args": {"hidden": [8]}}, "interior": 36, "boundary": 12}
    return {
        "problem": {"class_path": "pdeflow.problems.Poisson", "init_args": {"modes": 1}},
        "model": {"class_path": "pdeflow.tasks.PhysicsInformed", "init_args": task | {"steps_per_epoch": 3}},
        "trainer": {"max_epochs": 4},
    }


def weights(folder, run):
    return load_file(folder / run / "fit" / "export" / "model.safetensors")


def state(folder, run):
    return torch.load(folder / run / "fit" / "checkpoints" / "last.ckpt", weights_only=True)


def same(a, b):
    """Whether nested dictionaries of tensors and numbers agree in every bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_stopped_half_way_ends_in_the_bits_of_an_uninterrupted_one(name, fit, tmp_path):
    assert fit(name, "whole") == 0
    assert fit(name, "half", f"--trainer.max_epochs={HALF}") == 0
    before = state(tmp_path, "half")
    assert fit(name, "half", "--ckpt_path", "last") == 0
    whole, half = state(tmp_path, "whole"), state(tmp_path, "half")
    assert before["global_step"] == STEPS // 2
    assert whole["global_step"] == half["global_step"] == STEPS
    assert whole["optimizer_class"].endswith(f".{name}")
    assert same(whole["state_dict"], half["state_dict"])
    assert same(whole["optimizer_states"], half["optimizer_states"])
    assert same(weights(tmp_path, "whole"), weights(tmp_path, "half"))
    assert not same(before["state_dict"], half["state_dict"])


CHAINS = [  # trained with, resumed with, its options, words of the message
    ("Muon", "NorMuon", {}, ["state of pdeflow.optim.muon.Muon", "pdeflow.optim.muon_variants.NorMuon", "trained with"]),
    ("Muon", "torch.optim.AdamW", {}, ["pdeflow.optim.muon.Muon", "AdamW"]),
    ("ENGDW", "SelfScaledQN", {}, ["ENGDW", "SelfScaledQN"]),
    ("PolarGrad", "PolarGrad", {"polar_first": True}, ["saved optimizer state has chain PolarGrad(", "resume with"]),
]


@pytest.mark.parametrize(("first", "second", "options", "words"), CHAINS)
def test_a_checkpoint_of_another_chain_is_refused_as_bad_data(first, second, options, words, fit, tmp_path, capsys):
    assert fit(first, "run", "--trainer.max_epochs=1") == 0
    before = (tmp_path / "run" / "fit" / "checkpoints" / "last.ckpt").read_bytes()
    capsys.readouterr()
    assert fit(second, "run", "--ckpt_path", "last", **options) == 4
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert not [word for word in words if word not in error], error
    assert (tmp_path / "run" / "fit" / "checkpoints" / "last.ckpt").read_bytes() == before


PATHOLOGICAL = """
import torch
from torch import nn


class Pathological(nn.Module):
    def __init__(self):
        super().__init__()
        self.good, self.bad = nn.Conv2d(1, 1, 3, padding=1), nn.Parameter(torch.zeros(3, 3))

    def forward(self, a):
        return self.good(a) + 0 * self.bad.square().sum().sqrt()  # finite, with derivative 0 / 0
"""


@pytest.mark.parametrize(("steps", "code"), [(9, 0), (12, 2)])
def test_gradients_that_are_not_numbers_are_skipped_named_and_in_the_end_refused(steps, code, fit, tmp_path, capsys, monkeypatch):
    (tmp_path / f"pathological_{steps}.py").write_text(PATHOLOGICAL)
    monkeypatch.syspath_prepend(tmp_path)
    network = {"class_path": f"pathological_{steps}.Pathological"}
    with pytest.warns(UserWarning, match=r"gradient of bad, shape \(3, 3\), is not finite; it is left out"):
        assert fit("Muon", "run", f"--trainer.max_steps={steps}", network=network) == code
    if code == 0:
        found = state(tmp_path, "run")["state_dict"]
        assert not found["network.bad"].any()
        assert all(value.isfinite().all() for value in found.values())
    else:
        error = capsys.readouterr().err.strip()
        assert "gradient of bad, shape (3, 3), is not finite for 10 steps; lower lr or clip gradients" in error
        assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "options", "cure"),
    [
        (["--trainer.precision=bf16-true"], {}, "bf16-mixed instead of bf16-true"),
        ([], {"polar_dtype": "bfloat16"}, "use polar_dtype 'float32' or 'same'"),
    ],
)
def test_complex_weights_in_bfloat16_are_refused_with_the_cure(flags, options, cure, fit, tmp_path, capsys):
    capsys.readouterr()
    assert fit("Muon", "run", *flags, **options) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert cure in error
    assert not (tmp_path / "run" / "fit").exists()


def test_the_last_checkpoint_is_the_last_and_the_best_the_best(fit, tmp_path):
    rising = {"class_path": "pdeflow.optim.WarmupCosine", "init_args": {"total_steps": 12, "warmup": 0.9}}
    assert fit("torch.optim.SGD", "run", f"--lr_scheduler={json.dumps(rising)}", lr=4.0) == 0
    rows = [row for row in read_rows(tmp_path / "run" / "fit" / "logs" / "metrics.csv") if row["val/rel_l2"]]
    errors = [float(row["val/rel_l2"]) for row in rows]
    best = min(range(len(errors)), key=errors.__getitem__)
    assert best < len(errors) - 1, "the rate should have been too high"
    folder = tmp_path / "run" / "fit" / "checkpoints"
    epochs = {path.name: torch.load(path, weights_only=True)["epoch"] for path in folder.iterdir()}
    assert epochs == {"best.ckpt": best, "last.ckpt": len(errors) - 1}
