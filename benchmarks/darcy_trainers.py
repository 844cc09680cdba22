"""Every trainer on two-phase Darcy flow: test errors of FNO and TFNO at equal epochs and at equal time, all rates tuned alike.

16², 400 training, 100 validation and 100 test samples; 3 layers, 24 channels, modes 8, batch 20, relative L2 loss, cosine to zero.
A rate climbs a ladder of factor 10^(1/3) from the preset's own one, while the validation error of the first seed falls. A contestant and
Muon take training steps in turns, one thread, which gives the ratio of their costs whatever else the machine does; "equal time" gives
the contestant so many epochs more or fewer than Muon, at its own rate.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import inspect
import math
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import pdeflow
from pdeflow import optim
from pdeflow.data import PDEDataModule
from pdeflow.losses import relative_l2
from pdeflow.models import FNO, TFNO
from pdeflow.problems import Darcy
from pdeflow.tasks.parameter_groups import parameter_groups

RESULT = Path(__file__).resolve().parent / "results" / "darcy_trainers.md"
SEEDS, BATCH, EPOCHS, LADDER = (0, 1, 2), 20, 12, 10 ** (1 / 3)
BARS = {"equal epochs": 0.20, "equal time": 0.10}
"""How far below the best of Adam's kind Muon is to be on the FNO."""

Maker = Callable[..., torch.optim.Optimizer]
TRAINERS: dict[str, tuple[Maker, dict[str, Any]]] = {
    "Muon": (optim.Muon, {}),
    "Adam": (torch.optim.Adam, {"lr": 1e-2}),
    "AdamW, decay 1e-4": (torch.optim.AdamW, {"lr": 1e-2, "weight_decay": 1e-4}),
    "AdamW, decay 0.01": (torch.optim.AdamW, {"lr": 1e-2, "weight_decay": 1e-2}),
    "SGD, momentum 0.9": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "Muon, jordan5": (optim.Muon, {"polar": "jordan5"}),
    "Muon, 5 steps": (optim.Muon, {"polar_steps": 5}),
    "Muon, 8 steps": (optim.Muon, {"polar_steps": 8}),
    "Muon, svd": (optim.Muon, {"polar": "svd"}),
    "NorMuon": (optim.NorMuon, {}),
    "AdaMuon": (optim.AdaMuon, {}),
    "ROOT": (optim.ROOT, {}),
    "Scion": (optim.Scion, {"constrained": False}),
    "AuON (normalised momentum)": (optim.AuON, {}),
    "HybridAuON": (optim.HybridAuON, {}),
    "PolarGrad": (optim.PolarGrad, {"lr": 1e-2}),
    "KLShampoo": (optim.KLShampoo, {}),
    "Shampoo": (optim.Shampoo, {}),
    "SOAP": (optim.SOAP, {}),
    "FISMO": (optim.FISMO, {}),
    "ARO, sinkhorn": (optim.ARO, {}),
    "SymmetryAware, one-sided": (optim.SymmetryAware, {"symmetry": "one_sided"}),
    "SymmetryAware, rows": (optim.SymmetryAware, {"symmetry": "rows"}),
    "Dion2": (optim.Dion2, {}),
    "Trion, rank 6": (optim.Trion, {"rank": 6}),
    "DCTAdamW, rank 6": (optim.DCTAdamW, {"rank": 6}),
    "AdaptiveMemoryAdamW": (optim.AdaptiveMemoryAdamW, {}),
    "AdaptiveMemoryMuon": (optim.AdaptiveMemoryMuon, {}),
    "AdaptiveMemorySGD": (optim.AdaptiveMemorySGD, {}),
    "M-FAC": (optim.MFAC, {}),
}  # fmt: skip
ADAMS = ("Adam", "AdamW, decay 1e-4", "AdamW, decay 0.01")
Data = dict[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Run:
    """Errors on both sets."""

    valid: float
    test: float


class Training:
    """A network, its optimizer and one step of both."""

    def __init__(self, kind: type[FNO], name: str, lr: float, data: Data, seed: int) -> None:
        torch.manual_seed(seed)
        self.network = kind((8, 8), hidden_channels=24, n_layers=3, **({"rank": 0.1} if kind is TFNO else {}))
        self.network.fit_normalizers(*data["train"])
        make, options = TRAINERS[name]
        self.optimizer = make(parameter_groups(self.network), **options | {"lr": lr})
        self.rates = [group["lr"] for group in self.optimizer.param_groups]

    def step(self, a: Tensor, u: Tensor, factor: float) -> bool:
        """Take a step with the rates times a factor; whether the loss was a number."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad()
        loss = relative_l2(self.network(a), u).mean()
        if not torch.isfinite(loss):
            return False
        loss.backward()
        self.optimizer.step()
        return True


def train(kind: type[FNO], name: str, lr: float, data: Data, epochs: int, seed: int) -> Run:
    """Train once; a run that is no number has infinite errors."""
    training, (a, u), step = Training(kind, name, lr, data, seed), data["train"], 0
    total = epochs * (len(a) // BATCH)
    for _ in range(epochs):
        for batch in torch.randperm(len(a)).split(BATCH):
            if not training.step(a[batch], u[batch], 0.5 * (1 + math.cos(math.pi * step / total))):
                return Run(math.inf, math.inf)
            step += 1
    with torch.no_grad():
        return Run(*(float(relative_l2(training.network(data[part][0]), data[part][1]).mean()) for part in ("valid", "test")))


def cost(kind: type[FNO], name: str, lr: float, data: Data, steps: int = 25) -> float:
    """Median processor time of a training step over that of Muon's, in turns."""
    (a, u), pair = data["train"], [Training(kind, which, lr, data, 0) for which in ("Muon", name)]
    times: list[list[float]] = [[], []]
    for k in range(steps + 3):
        for training, found in zip(pair, times, strict=True):
            start = time.process_time()
            training.step(a[:BATCH], u[:BATCH], 1e-3)
            if k > 2:
                found.append(time.process_time() - start)
    return statistics.median(times[1]) / statistics.median(times[0])


def tuned(kind: type[FNO], name: str, data: Data, epochs: int) -> tuple[float, Run]:
    """Climb the ladder of rates; the best one and its run."""
    make, options = TRAINERS[name]
    first = options.get("lr", inspect.signature(make).parameters["lr"].default)
    runs: dict[int, Run] = {}

    def error(k: int) -> float:
        if k not in runs:
            runs[k] = train(kind, name, first * LADDER**k, data, epochs, SEEDS[0])
        return runs[k].valid if math.isfinite(runs[k].valid) else math.inf

    best, way = 0, 1 if error(1) < error(0) else -1
    while error(best + way) < error(best):
        best += way
    return first * LADDER**best, runs[best]


def rows(kind: type[FNO], data: Data, names: list[str], epochs: int) -> list[str]:
    """Measure every contestant."""
    lines, errors = [], {}
    for name in names:
        lr, first = tuned(kind, name, data, epochs)
        runs = [first, *(train(kind, name, lr, data, epochs, seed) for seed in SEEDS[1:])]
        ratio = 1.0 if name == "Muon" else cost(kind, name, lr, data)
        longer = max(1, round(epochs / ratio))
        timed = runs if longer == epochs else [train(kind, name, lr, data, longer, seed) for seed in SEEDS]
        errors[name] = {"equal epochs": mean(runs), "equal time": mean(timed)}
        each = " ".join(f"{run.test:.4f}" for run in runs)
        lines.append(f"| {name} | {lr:.2g} | {mean(runs):.4f} | {each} | {ratio:.2f} | {mean(timed):.4f} | {longer} |")
        print(lines[-1], file=sys.stderr, flush=True)
    present = [name for name in ADAMS if name in errors]
    for way in BARS if present and names[0] == "Muon" else ():
        best = min(present, key=lambda name: errors[name][way])
        gain = 1 - errors["Muon"][way] / errors[best][way]
        verdict = f" (bar {BARS[way]:.0%}: {'met' if gain >= BARS[way] else 'missed'})" if kind is FNO else ""
        lines += ["", f"Muon at {way}: {gain:.0%} below the best of Adam's kind, {best}{verdict}."]
        print(lines[-1], file=sys.stderr, flush=True)
    return lines


def mean(runs: list[Run]) -> float:
    return statistics.mean(run.test for run in runs)


def load(folder: str) -> Data:
    """Generate the samples."""
    count = {"train": 400, "valid": 100, "test": 100}
    pdeflow.generate(Darcy(low=3.0, high=12.0), folder, count=count, grid=(16, 16), workers=1, seed=0)
    module = PDEDataModule(folder, batch_size=BATCH)
    module.setup("fit")
    loaders = {"train": module.train_dataloader(), "valid": module.val_dataloader(), "test": module.test_dataloader()}
    found = {part: loader.dataset.tensors() for part, loader in loaders.items()}
    return {part: (a.float(), u.float()) for part, (a, u) in found.items()}


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--only", nargs="*", default=list(TRAINERS), choices=list(TRAINERS))
    parser.add_argument("--network", nargs="*", default=["FNO", "TFNO"], choices=["FNO", "TFNO"])
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = [
        "# Trainers on Darcy flow", "",
        f"`python benchmarks/darcy_trainers.py`; two-phase Darcy 16², 400 training samples, {options.epochs} epochs of batch {BATCH}; test errors are relative L2, "
        f"means over seeds {', '.join(map(str, SEEDS))}; rates tuned for each on the validation set of the first; torch {torch.__version__}, one thread of {platform.machine()}.",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        data = load(folder)
        for network in options.network:
            kind = {"FNO": FNO, "TFNO": TFNO}[network]
            lines += [
                "", f"## {network}", "", "| trainer | rate | error | per seed | step over Muon's | error at equal time | epochs then |",
                "|---|---:|---:|---|---:|---:|---:|",
            ]  # fmt: skip
            lines += rows(kind, data, options.only, options.epochs)
            options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
