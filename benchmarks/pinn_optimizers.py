"""Optimizers beside each other on one physics-informed problem: Poisson's equation on the unit square, 129 weights, float64.

-Δu = f with u = c sin πx sin πy, network 2-32-1 tanh, 900 interior and 120 boundary points (Sobol), fixed, in units of
max|u|. AdamW takes the best of three rates on the first seed. The peer is DeepXDE (PyTorch) with its L-BFGS on as many points of its own
and the same weights of the two losses; where it is not installed its row says so. Seconds are those of the processor, one thread.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("DDE_BACKEND", "pytorch")

import argparse
import contextlib
import io
import logging
import math
import platform
import statistics
import time
import warnings
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer

from pdeflow.models import MLP
from pdeflow.problems import Poisson
from pdeflow.tasks import PhysicsInformed

RESULT = Path(__file__).resolve().parent / "results" / "pinn_optimizers.md"
RATES = (1e-2, 3e-2, 1e-1)
INTERIOR, BOUNDARY, HIDDEN = 900, 120, 32


@dataclass(frozen=True)
class Method:
    """An optimizer, with its steps and the iterations within one of them."""

    name: str
    path: str
    steps: int
    options: dict[str, Any] = field(default_factory=dict)
    inner: int = 1


LBFGS = {
    "max_iter": 20, "history_size": 100, "line_search_fn": "strong_wolfe", "tolerance_grad": 0.0, "tolerance_change": 0.0,
}  # fmt: skip
METHODS = [
    Method("AdamW, cosine", "torch.optim.AdamW", 3000, {"weight_decay": 0.0}),
    Method("M-FAC, window 64", "pdeflow.optim.MFAC", 1500, {"lr": 1e-3, "damping": 1e-5}),
    Method("L-BFGS (torch), strong Wolfe", "torch.optim.LBFGS", 150, LBFGS, 20),
    Method("ENGD-W", "pdeflow.optim.ENGDW", 200),
    Method("SPRING, μ 0.8", "pdeflow.optim.SPRING", 200),
    Method("Sven", "pdeflow.optim.Sven", 200),
    Method("Levenberg-Marquardt", "pdeflow.optim.LevenbergMarquardt", 200, {"geodesic": False}),
    Method("Levenberg-Marquardt, geodesic", "pdeflow.optim.LevenbergMarquardt", 200),
    Method("GN, gradient-normalised smoothness", "pdeflow.optim.GradientSmoothness", 200),
    Method("BFGS", "pdeflow.optim.SelfScaledQN", 150, {"variant": "bfgs"}, 20),
    Method("SSBFGS", "pdeflow.optim.SelfScaledQN", 150, {"variant": "ssbfgs"}, 20),
    Method("SSBroyden1", "pdeflow.optim.SelfScaledQN", 150, {"variant": "ssbroyden1"}, 20),
    Method("SSBroyden2", "pdeflow.optim.SelfScaledQN", 150, {"variant": "ssbroyden2"}, 20),
]


def trained(method: Method, seed: int, **options: Any) -> tuple[float, float]:
    """Return seconds and relative L² error."""
    torch.manual_seed(seed)
    settings = {"class_path": method.path, "init_args": method.options | options}
    task = PhysicsInformed(
        MLP(hidden=[HIDDEN]), Poisson(modes=1), INTERIOR, BOUNDARY, seed=seed, steps_per_epoch=method.steps, optimizer=settings
    )
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_steps=method.steps, accelerator="cpu", num_sanity_val_steps=0, limit_val_batches=0, **quiet)
    start = time.process_time()
    trainer.fit(task)
    return time.process_time() - start, float(task.relative_l2())


def peer(seed: int, iterations: int) -> tuple[float, float]:
    """Return seconds and relative L² error of DeepXDE's L-BFGS on -Δu = 2π² sin πx sin πy."""
    import deepxde as dde
    import numpy as np

    dde.config.set_default_float("float64")
    dde.config.set_random_seed(seed)
    square = dde.geometry.Rectangle([0, 0], [1, 1])

    def equation(x: Any, u: Any) -> Any:
        f = 2 * math.pi**2 * torch.sin(math.pi * x[:, :1]) * torch.sin(math.pi * x[:, 1:])
        return dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1) + f

    edge = dde.icbc.DirichletBC(square, lambda x: 0.0, lambda _, on: on)
    data = dde.data.PDE(square, equation, edge, num_domain=INTERIOR, num_boundary=BOUNDARY, train_distribution="Sobol")
    model = dde.Model(data, dde.nn.FNN([2, HIDDEN, 1], "tanh", "Glorot normal"))
    dde.optimizers.set_LBFGS_options(maxcor=100, ftol=0, gtol=0, maxiter=iterations)
    model.compile("L-BFGS", loss_weights=[1, 4])
    start = time.process_time()
    model.train(display_every=iterations)
    seconds = time.process_time() - start
    t = (np.arange(100) + 0.5) / 100
    x = np.stack(np.meshgrid(t, t), -1).reshape(-1, 2)
    exact = np.sin(np.pi * x[:, :1]) * np.sin(np.pi * x[:, 1:])
    return seconds, float(np.linalg.norm(model.predict(x) - exact) / np.linalg.norm(exact))


def row(name: str, iterations: int, runs: list[tuple[float, float]]) -> str:
    errors = [error for _, error in runs]
    cells = [name, str(iterations), f"{statistics.median(s for s, _ in runs):.1f}", *(f"{e:.1e}" for e in errors)]
    return "| " + " | ".join([*cells, f"**{statistics.median(errors):.1e}**"]) + " |"


def peer_row(seeds: list[int], iterations: int) -> str:
    if find_spec("deepxde") is None:
        return f"| DeepXDE, L-BFGS | not installed | | {'| ' * len(seeds)}|"
    with contextlib.redirect_stdout(io.StringIO()):
        runs = [peer(seed, iterations) for seed in seeds]
    return row("DeepXDE, L-BFGS", iterations, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    rows = []
    for method in METHODS:
        rate = {}
        if method.path == "torch.optim.AdamW":
            rate = {"lr": min(RATES, key=lambda lr, m=method: trained(m, seeds[0], lr=lr)[1])}
        runs = [trained(method, seed, **rate) for seed in seeds]
        name = method.name + "".join(f", rate {lr:g}" for lr in rate.values())
        rows.append(row(name, method.steps * method.inner, runs))
        print(rows[-1], flush=True)
    rows.append(peer_row(seeds, 3000))
    print(rows[-1], flush=True)
    version = f"{platform.machine()}, torch {torch.__version__}"
    errors = " | ".join(f"seed {seed}" for seed in seeds)
    lines = [
        "# Optimizers of a physics-informed network", "",
        f"{' '.join((__doc__ or '').split())} {version}. Regenerate with `python benchmarks/pinn_optimizers.py`.", "",
        f"| method | iterations | seconds | {errors} | median relative L² |", "|---|---|---|" + "---|" * (len(seeds) + 1), *rows,
    ]  # fmt: skip
    RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
