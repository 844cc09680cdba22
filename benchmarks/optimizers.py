"""Matrix-aware optimizers: steps to a tolerance on a matrix regression, and what a step costs beside a training step.

Regression: minimise ½‖A X B - C‖² / (p q) with A (120, 60) and B (20, 40) Gaussian, columns of A and rows of B scaled by
logspace(0, -1), C = A X* B; X starts at zero. Every preset gets the same 17 learning rates, half a cosine to zero over 400
steps, and three seeds; its row is the rate with the least final suboptimality for the first seed. Step cost: processor time of
`optimizer.step()` over that of forward, backward and step together, medians, one thread.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import math
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pdeflow import optim
from pdeflow.models import FNO
from pdeflow.tasks.parameter_groups import parameter_groups

RESULT = Path(__file__).resolve().parent / "results" / "optimizers.md"
SEEDS, STEPS, TOLERANCES = (0, 1, 2), 400, (1e-2, 1e-4, 1e-6)
RATES = [10.0 ** (-4 + 0.3125 * k) for k in range(17)]  # 1e-4 to 10
BARS = {16: 0.30, 64: 0.15}
"""Highest allowed share of Muon in a training step, by grid."""

Maker = Callable[..., torch.optim.Optimizer]
PRESETS: dict[str, tuple[Maker, dict[str, Any]]] = {
    "gradient descent": (torch.optim.SGD, {}),
    "momentum 0.9": (torch.optim.SGD, {"momentum": 0.9, "dampening": 0.9}),
    "Adam": (torch.optim.Adam, {}),
    "torch Muon": (torch.optim.Muon, {"weight_decay": 0.0}),
    "Muon": (optim.Muon, {}),
    "Muon, jordan5": (optim.Muon, {"polar": "jordan5"}),
    "Scion, unconstrained": (optim.Scion, {"constrained": False}),
    "AuON (normalised momentum)": (optim.AuON, {}),
    "HybridAuON": (optim.HybridAuON, {}),
    "ROOT": (optim.ROOT, {}),
    "PolarGrad": (optim.PolarGrad, {}),
    "PolarGrad, polar first": (optim.PolarGrad, {"polar_first": True}),
    "NorMuon": (optim.NorMuon, {}),
    "AdaMuon": (optim.AdaMuon, {}),
    "Shampoo": (optim.Shampoo, {}),
    "KLShampoo": (optim.KLShampoo, {}),
    "KLShampoo, not normalised": (optim.KLShampoo, {"normalize": False}),
    "KLShampoo, not normalised, refresh 1": (optim.KLShampoo, {"normalize": False, "refresh": 1, "damping": 1e-8}),
    "SOAP": (optim.SOAP, {}),
    "FISMO": (optim.FISMO, {}),
    "ARO, sinkhorn": (optim.ARO, {}),
    "ARO, sign": (optim.ARO, {"base": "sign"}),
    "SymmetryAware, rows": (optim.SymmetryAware, {"symmetry": "rows"}),
    "SymmetryAware, one-sided": (optim.SymmetryAware, {"symmetry": "one_sided"}),
    "Dion2": (optim.Dion2, {}),
    "Trion, rank 5": (optim.Trion, {"rank": 5}),
    "DCTAdamW, rank 5": (optim.DCTAdamW, {"rank": 5}),
    "AdaptiveMemorySGD": (optim.AdaptiveMemorySGD, {}),
    "AdaptiveMemoryAdamW": (optim.AdaptiveMemoryAdamW, {}),
    "AdaptiveMemoryMuon": (optim.AdaptiveMemoryMuon, {}),
}
SHOWN_COSTS = [
    "Adam", "AuON (normalised momentum)", "Muon", "Muon, jordan5", "NorMuon", "ROOT", "KLShampoo", "SOAP", "FISMO",
    "ARO, sinkhorn", "Dion2", "Trion, rank 5",
]  # fmt: skip


def regression(seed: int) -> tuple[Callable[[Tensor], Tensor], tuple[int, int]]:
    """Return the loss of a seed, whose least value is zero, and the shape of X."""
    generator = torch.Generator().manual_seed(seed)

    def gaussian(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    a = gaussian(120, 60) * torch.logspace(0, -1, 60, dtype=torch.float64)
    b = gaussian(20, 40) * torch.logspace(0, -1, 20, dtype=torch.float64)[:, None]
    c = a @ gaussian(60, 20) @ b
    return lambda x: 0.5 * (a @ x @ b - c).square().mean(), (60, 20)


def history(make: Maker, options: dict[str, Any], lr: float, seed: int) -> list[float]:
    """Return loss over initial loss after every step; infinite once it is not a number."""
    loss, shape = regression(seed)
    p = nn.Parameter(torch.zeros(shape, dtype=torch.float64))
    optimizer, found = make([p], lr=lr, **options), []
    for k in range(STEPS):
        optimizer.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * k / STEPS))
        optimizer.zero_grad()
        value = loss(p)
        value.backward()
        found.append(value.item())
        if not math.isfinite(found[-1]) or found[-1] > 1e6 * found[0]:
            return [math.inf] * (STEPS + 1)
        optimizer.step()
    found.append(loss(p).item())
    return [value / found[0] for value in found]


def best_rate(make: Maker, options: dict[str, Any]) -> tuple[float, list[list[float]]]:
    """Return the learning rate with the least last value for the first seed, and its histories by seed."""
    trials = {lr: history(make, options, lr, SEEDS[0]) for lr in RATES}
    lr = min(trials, key=lambda lr: trials[lr][-1])
    return lr, [trials[lr], *(history(make, options, lr, seed) for seed in SEEDS[1:])]


def regression_row(name: str) -> str:
    """Measure one preset: final suboptimality by seed, and steps to each tolerance (median over the seeds)."""
    lr, runs = best_rate(*PRESETS[name])
    steps = []
    for tolerance in TOLERANCES:
        reached = [next((k for k, value in enumerate(run) if value < tolerance), None) for run in runs]
        steps.append("–" if None in reached else f"{statistics.median(k for k in reached if k is not None):.0f}")
    ends = " ".join(f"{run[-1]:.1e}" for run in runs)
    return f"| {name} | {lr:.2g} | {ends} | {' | '.join(steps)} |"


def share_of_step(name: str, grid: int, repeats: int) -> tuple[float, float]:
    """Return milliseconds of the optimizer's step, and its share of a whole training step of an FNO."""
    torch.manual_seed(0)
    network, make, options = FNO((8, 8) if grid == 16 else (16, 16), 1, 1, 24 if grid == 16 else 32), *PRESETS[name]
    optimizer = make(parameter_groups(network), lr=1e-3, **options)
    x, whole, own = torch.randn(20 if grid == 16 else 16, 1, grid, grid), [], []
    for _ in range(repeats + 2):
        start = time.process_time()
        optimizer.zero_grad()
        network(x).square().mean().backward()
        middle = time.process_time()
        optimizer.step()
        end = time.process_time()
        whole.append(end - start)
        own.append(end - middle)
    return 1e3 * statistics.median(own[2:]), statistics.median(own[2:]) / statistics.median(whole[2:])


def cost_row(name: str, repeats: int) -> str:
    """Measure the step of one preset on both grids."""
    cells = []
    for grid, bar in BARS.items():
        milliseconds, share = share_of_step(name, grid, repeats)
        verdict = "" if name != "Muon" else f" (bar {bar:.0%}: {'met' if share <= bar else 'missed'})"
        cells += [f"{milliseconds:.1f}", f"{share:.0%}{verdict}"]
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Measure, print and write both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(PRESETS), help="rows of the regression")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/optimizers.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Matrix-aware optimizers", "", "`OMP_NUM_THREADS=1 python benchmarks/optimizers.py --write`;"
        f" torch {torch.__version__}, one thread of {platform.machine()}; seeds {', '.join(map(str, SEEDS))}.",
        "", "## Matrix regression", "",
        f"Loss over initial loss after {STEPS} steps, best for the first seed of {len(RATES)} rates from {RATES[0]:.0e} to",
        f"{RATES[-1]:.0f}, half a cosine to zero; steps to a tolerance are medians over the seeds",
        "(– where one never gets there).", "",
        "| optimizer | rate | final, by seed | " + " | ".join(f"steps to {t:.0e}" for t in TOLERANCES) + " |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name in arguments.only:
        lines.append(regression_row(name))
        print(lines[-1], flush=True)
    lines += [
        "", "## Step cost", "", "Processor milliseconds of `optimizer.step()` and its share of forward, backward and step.",
        "FNO of 4 layers: 16², modes 8, width 24, batch 20; 64², modes 16, width 32, batch 16.", "",
        "| optimizer | 16²: ms | share | 64²: ms | share |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name in SHOWN_COSTS:
        lines.append(cost_row(name, arguments.repeats))
        print(lines[-1], flush=True)
    if arguments.write:
        RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
