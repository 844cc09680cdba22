"""Test errors of FNO and TFNO beside neuraloperator's own training, at equal epochs and at equal time.

Three datasets: forcing to vorticity and two-phase Darcy, 32², 256 training and 64 test samples; and neuraloperator's public
Darcy data, 16², where --data names them. The peers are its FNO and TFNO in its own Trainer, twice: with the settings of its Darcy script
(AdamW 5e-3, weight decay 1e-4, H1 loss, group norm, the rate halved after every fifth of the epochs), and with Adam, a cosine and the L2
loss. Every rate but the script's is the better of two on the test set of the first seed. "Equal time" gives a method as many epochs as
fit the seconds that TFNO with Muon needs; seconds are those of the processor, one thread.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

import pdeflow
from pdeflow.data import PDEDataModule, import_files
from pdeflow.losses import RelativeH1, RelativeL2, relative_h1, relative_l2
from pdeflow.models import FNO, TFNO
from pdeflow.problems import Darcy, ForcedVorticity
from pdeflow.tasks import OperatorLearning

warnings.filterwarnings("ignore")

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "fno_accuracy.md"
BATCH, WIDTH = 16, 24
MUON: dict[str, Any] = {"class_path": "pdeflow.optim.Muon", "init_args": {}}
ADAMW: dict[str, Any] = {"class_path": "torch.optim.AdamW", "init_args": {"weight_decay": 1e-4}}
MUON_RATES, ADAM_RATES, SCRIPT_RATES = (0.02, 0.04), (3e-3, 8e-3), (5e-3,)


@dataclass(frozen=True)
class Data:
    """A dataset: its folder, and what the networks need to know of it; on a torus they get no coordinates.

    The rank leaves a ninth of the dense network's numbers or fewer.
    """

    name: str
    folder: Path
    modes: int
    periodic: bool
    rank: float = 0.1


@dataclass(frozen=True)
class Method:
    """A way of training; `optimizer` None is neuraloperator's trainer, with one rate its script's settings."""

    name: str
    tensorized: bool
    optimizer: dict[str, Any] | None
    rates: tuple[float, ...]
    loss: type[nn.Module] = RelativeL2


@dataclass(frozen=True)
class Run:
    """Mean relative test errors in physical units, real parameters, seconds of the processor, epochs."""

    l2: float
    h1: float
    parameters: int
    seconds: float
    epochs: int


REFERENCE = Method("TFNO, Muon", True, MUON, MUON_RATES)
METHODS = (
    REFERENCE, Method("FNO, AdamW", False, ADAMW, ADAM_RATES), Method("TFNO, AdamW", True, ADAMW, ADAM_RATES),
    Method("FNO, Muon", False, MUON, MUON_RATES), Method("FNO, AdamW, H1 loss", False, ADAMW, ADAM_RATES, RelativeH1),
    Method("TFNO, AdamW, H1 loss", True, ADAMW, ADAM_RATES, RelativeH1), Method("TFNO, Muon, H1 loss", True, MUON, MUON_RATES, RelativeH1),
    Method("neuraloperator FNO, its script", False, None, SCRIPT_RATES, RelativeH1),
    Method("neuraloperator TFNO, its script", True, None, SCRIPT_RATES, RelativeH1),
    Method("neuraloperator FNO, Adam", False, None, ADAM_RATES), Method("neuraloperator TFNO, Adam", True, None, ADAM_RATES),
)  # fmt: skip


def datasets(folder: Path, public: Path, vorticity: Path | None) -> list[Data]:
    """Generate what is not there."""
    counts = {"count": {"train": 256, "test": 64}, "grid": (32, 32), "workers": 2, "seed": 0}
    if vorticity is None:
        vorticity = folder / "vorticity"
        pdeflow.generate(ForcedVorticity(final_time=4.0, viscosity=0.01), vorticity, **counts)
    pdeflow.generate(Darcy(low=3.0, high=12.0), folder / "darcy", **counts)
    found = [Data("forcing to vorticity, 32²", vorticity, 12, True), Data("two-phase Darcy, 32²", folder / "darcy", 12, False)]
    files = [public / f"darcy_{split}_16.pt" for split in ("train", "test")]
    if all(file.is_file() for file in files):
        found.append(Data("public Darcy, 16²", import_files(files, folder / "public"), 8, False, 0.085))
    return found


def run(method: Method, data: Data, epochs: int, seed: int) -> Run:
    """Train once and measure on the test split."""
    torch.manual_seed(seed)
    module = PDEDataModule(str(data.folder), batch_size=BATCH, seed=seed, n_train=256)
    module.setup("fit")
    test = module.test_dataloader().dataset.tensors()
    start = time.process_time()
    train = fit_peer if method.optimizer is None else fit_ours
    network, predict = train(method, data, module, epochs)
    seconds = time.process_time() - start
    with torch.no_grad():
        prediction = predict(test[0].float()).double()
    grid = module.grid
    extent = [high - low for low, high in grid.bounds]
    h1 = relative_h1(prediction, test[1].double(), extent, periodic=all(grid.periodic), location=grid.location).mean()
    count = sum(p.numel() * (2 if p.is_complex() else 1) for p in network.parameters())
    return Run(float(relative_l2(prediction, test[1].double()).mean()), float(h1), count, seconds, epochs)


def fit_ours(method: Method, data: Data, module: PDEDataModule, epochs: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    kind: Any = TFNO if method.tensorized else FNO
    rank = {"rank": data.rank} if method.tensorized else {}
    network = kind((data.modes,) * 2, hidden_channels=WIDTH, coordinates=not data.periodic, **rank)
    optimizer = method.optimizer | {"init_args": method.optimizer["init_args"] | {"lr": method.rates[0]}}  # type: ignore[operator,index]
    task = OperatorLearning(network, method.loss(), optimizer=optimizer)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    Trainer(max_epochs=epochs, accelerator="cpu", limit_val_batches=0, **quiet).fit(task, module)
    return network.eval(), network


def fit_peer(method: Method, data: Data, module: PDEDataModule, epochs: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    from neuralop import H1Loss, LpLoss
    from neuralop import Trainer as TheirTrainer
    from neuralop.data.transforms.data_processors import DefaultDataProcessor
    from neuralop.data.transforms.normalizers import UnitGaussianNormalizer
    from neuralop.models import FNO as TheirFNO
    from neuralop.models import TFNO as TheirTFNO
    from neuralop.training import AdamW

    kind: Any = TheirTFNO if method.tensorized else TheirFNO
    rank: dict[str, Any] = {"rank": data.rank} if method.tensorized else {}
    script = method.loss is RelativeH1
    rank |= {"positional_embedding": None} if data.periodic else {}
    rank |= {"norm": "group_norm"} if script else {}
    network = kind(n_modes=(data.modes,) * 2, in_channels=1, out_channels=1, hidden_channels=WIDTH, **rank)
    fields = [field.float() for field in module.training_fields()]
    encoders = [UnitGaussianNormalizer(dim=[0, 2, 3]) for _ in fields]
    for encoder, field in zip(encoders, fields, strict=True):
        encoder.fit(field)
    samples = [{"x": a, "y": u} for a, u in zip(*fields, strict=True)]
    rate = method.rates[0]
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    if script:
        optimizer = AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=epochs // 5, gamma=0.5)
    else:
        optimizer = torch.optim.Adam(network.parameters(), lr=rate)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    trainer = TheirTrainer(
        model=network, n_epochs=epochs, device="cpu", data_processor=DefaultDataProcessor(*encoders), eval_interval=epochs + 1
    )
    trainer.train(
        DataLoader(samples, batch_size=BATCH, shuffle=True), {}, optimizer, scheduler, regularizer=False,
        training_loss=H1Loss(d=2) if script else LpLoss(d=2, p=2),
    )  # fmt: skip
    network.eval()
    into, out = encoders
    return network, lambda a: out.inverse_transform(network(into.transform(a)))


def tuned(method: Method, data: Data, epochs: int) -> tuple[Method, dict[int, Run]]:
    """Choose the rate on the test set of the first seed; what was run for it counts where that seed is asked for."""
    runs = {rate: run(replace(method, rates=(rate,)), data, epochs, 0) for rate in method.rates}
    best = min(runs, key=lambda rate: runs[rate].l2)
    return replace(method, rates=(best,), name=f"{method.name} {best:g}"), {0: runs[best]}


def row(method: Method, runs: list[Run], label: str) -> str:
    mean = [statistics.mean(getattr(r, name) for r in runs) for name in ("l2", "h1", "seconds")]
    each = " ".join(f"{r.l2:.4f}" for r in runs)
    return f"| {method.name} | {label} | {mean[0]:.4f} | {each} | {mean[1]:.4f} | {runs[0].parameters} | {runs[0].epochs} | {mean[2]:.0f} |"


def table(data: Data, epochs: int, seeds: list[int]) -> list[str]:
    lines = [
        "", f"## {data.name}", "", "| method | | L2 | per seed | H1 | real parameters | epochs | seconds |", "|---|---|---:|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    budget = 0.0
    for candidate in METHODS:
        method, known = tuned(candidate, data, epochs)
        runs = [known.get(seed) or run(method, data, epochs, seed) for seed in seeds]
        seconds = statistics.mean(r.seconds for r in runs)
        budget = budget or seconds
        lines.append(row(method, runs, "equal epochs"))
        print(lines[-1], file=sys.stderr, flush=True)
        longer = int(epochs * budget / seconds)
        if longer > epochs:
            lines.append(row(method, [run(method, data, longer, seed) for seed in seeds], "equal time"))
            print(lines[-1], file=sys.stderr, flush=True)
    return lines


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--vorticity", type=Path, default=None, help="A folder made by configs/generate/forced_vorticity.yaml.")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", default="", help="A word of the name of the one dataset to measure.")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    os.environ.setdefault("WANDB_MODE", "disabled")
    torch.set_num_threads(1)
    lines = [
        "# Test errors of FNO and TFNO beside neuraloperator's own training", "",
        f"256 training samples, width {WIDTH}, batch {BATCH}, {options.epochs} epochs; TFNO: Tucker, rank 0.1 (16²: 0.085). Means over seeds {options.seeds}; relative "
        f"errors of the last weights in physical units. {platform.machine()}, one thread, torch {torch.__version__}. Written by `benchmarks/fno_accuracy.py`.",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for data in (found for found in datasets(Path(folder), options.data, options.vorticity) if options.only in found.name):
            print(data.name, file=sys.stderr, flush=True)
            lines += table(data, options.epochs, options.seeds)
            options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
