"""Deep conjugate directions beside conjugate gradients with incomplete Cholesky and algebraic multigrid, in two and three dimensions.

Networks are trained without labels on Poisson's equation at 64² or 32³ and applied unchanged to finer grids: the paper's, with its
loss and its data (Ritz vectors), a linear one, a linear one with tied levels, and the learned V-cycle. `--train` runs for
`--seconds` and can be repeated until every training is complete; without it the table is measured and written.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from learned_preconditioners import QUIET, Laplace
from lightning import Trainer

from pdeflow.linalg import LinearSystem, solve
from pdeflow.losses import LogEnergy, Residual
from pdeflow.models import DirectionNet, LearnedVCycle, LinearMultigridNet
from pdeflow.problems import Instance
from pdeflow.tasks import DirectionLearning, OnPolicy, Ritz

ROOT = Path(__file__).resolve().parent
RESULT, WEIGHTS = ROOT / "results" / "deep_conjugate_directions.md", ROOT.parent / "runs" / "deep_conjugate_directions"
LOOSE, RTOL = 1e-4, 1e-6
RITZ = Ritz(400)  # computed once, also when a training goes on


def every(dim: int) -> int:
    """Steps between two countings of iterations, which take as long as some of them in space."""
    return 100 if dim == 3 else 50


def task(network: Any, grids: Any, steps: int, rate: float, paper: bool = False, batch: int = 8) -> DirectionLearning:
    """Training of one network; the paper's loss and data, or ours."""
    schedule = {"warmup": 0.0 if paper else 0.2, "final": 1.0 if paper else 0.01, "total_steps": steps}
    return DirectionLearning(
        network, Laplace(dim=len(grids[0])), Residual() if paper else LogEnergy(), RITZ if paper else OnPolicy(),
        grids=grids, batch_size=batch, steps_per_epoch=every(len(grids[0])), instances=2, rtol=RTOL,
        optimizer={"class_path": "torch.optim.Adam", "init_args": {"lr": rate}},
        lr_scheduler={"class_path": "pdeflow.optim.WarmupCosine", "init_args": schedule},
    )  # fmt: skip


@dataclass(frozen=True)
class Training:
    """One network and its length of training."""

    name: str
    steps: int
    make: Callable[[int], DirectionLearning]


PLANE, SPACE = ((64, 64),), ((32, 32, 32),)
TRAININGS = {
    3: [
        Training("paper's network", 1400, lambda n: task(DirectionNet(3), SPACE, n, 2e-4, paper=True)),
        Training("learned V-cycle", 100, lambda n: task(LearnedVCycle(dim=3), ((16,) * 3, *SPACE), n, 1e-2)),
        Training("linear network, tied", 300, lambda n: task(LinearMultigridNet(3, tied=True), ((16,) * 3, *SPACE), n, 3e-3, batch=4)),
    ],
    2: [
        Training("learned V-cycle", 150, lambda n: task(LearnedVCycle(), ((32, 32), (64, 64)), n, 1e-2)),
        Training("linear network", 400, lambda n: task(LinearMultigridNet(), PLANE, n, 3e-3)),
        Training("linear network, tied", 600, lambda n: task(LinearMultigridNet(tied=True), ((32, 32), (64, 64)), n, 3e-3)),
        Training("paper's network", 1500, lambda n: task(DirectionNet(2), PLANE, n, 1e-3, paper=True)),
    ],
}  # fmt: skip
GRIDS = {2: (64, 128, 256), 3: (32, 64, 96)}


def file_of(dim: int, training: Training) -> Path:
    return WEIGHTS / f"{dim}d_{training.name.replace(' ', '_').replace(',', '').replace(chr(39), '')}.pt"


def train(until: float) -> bool:
    """Advance the first training that is not complete; whether all are."""
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    for dim, trainings in TRAININGS.items():
        for training in trainings:
            path, checkpoint = file_of(dim, training), file_of(dim, training).with_suffix(".ckpt")
            kept = torch.load(path, weights_only=True) if path.exists() else {"step": 0, "seconds": 0.0, "best": [np.inf, np.inf], "at": 0}
            while kept["step"] < training.steps:
                if time.perf_counter() > until:
                    return False
                torch.manual_seed(0)
                learner, start = training.make(training.steps), time.perf_counter()
                trainer = Trainer(max_steps=min(kept["step"] + every(dim), training.steps), **QUIET)
                trainer.fit(learner, ckpt_path=checkpoint if kept["step"] else None, weights_only=True)
                trainer.save_checkpoint(checkpoint)
                kept |= {"step": trainer.global_step, "seconds": kept["seconds"] + time.perf_counter() - start}
                worst, mean = (float(trainer.callback_metrics[f"val/{key}"]) for key in ("iterations", "mean_iterations"))
                if [worst, mean] <= kept["best"]:  # where no right-hand side converges, the last weights
                    kept |= {"best": [worst, mean], "at": kept["step"], "weights": learner.network.state_dict()}
                torch.save(kept, path)
                print(dim, training.name, {k: v for k, v in kept.items() if k != "weights"}, f"now {worst:.1f}, mean {mean:.1f}", flush=True)
    return True


def systems(dim: int, n: int) -> list[LinearSystem]:
    """One matrix, with white noise and with a constant as right-hand side."""
    problem = Laplace(dim=dim)
    system = problem.system(Instance({}), problem.grid((n,) * dim))
    return [replace(system, b=np.random.default_rng(0).standard_normal(system.n)), system]


def row(dim: int, n: int, name: str, method: str, M: Any) -> str:
    """Iterations for each right-hand side, at the looser tolerance too, mean seconds, and how often the guard had to help."""
    found = [solve(system, method=method, preconditioner=M, rtol=RTOL, maxiter=5000) for system in systems(dim, n)]
    loose = [
        next((k for k, norm in enumerate(f.residual_norms) if norm <= LOOSE * f.residual_norms[0]), f.iterations) for f in found
    ]
    setup, seconds = (float(np.mean([getattr(f, key) for f in found])) for key in ("seconds_setup", "seconds_solve"))
    left = [f"{name} at step {f.switched_at}" for name, f in zip(("noise", "constant"), found, strict=True) if f.switched_at is not None]
    verified = sum(f.converged for f in found)
    help_ = f"leaves for multigrid: {', '.join(left)}" if left else ""
    counts = " | ".join(f"{a} / {f.iterations}" for a, f in zip(loose, found, strict=True))
    return f"| {n}^{dim} | {name} | {counts} | {1e3 * setup:.1f} | {1e3 * seconds:.1f} | {verified} of {len(found)} | {help_} |"


def trained(dim: int) -> tuple[list[tuple[str, Any]], list[str]]:
    """Read the networks of a dimension that have been trained, each with a line about its training."""
    networks, notes = [], []
    for training in TRAININGS[dim]:
        if not file_of(dim, training).exists():
            continue
        kept = torch.load(file_of(dim, training), weights_only=True)
        network = training.make(training.steps).network
        network.load_state_dict(kept["weights"])
        networks.append((training.name, network))
        count = sum(p.numel() for p in network.parameters())
        notes.append(
            f"- {training.name}, {dim}-D: {count:,} parameters, {kept['step']} steps in {kept['seconds']:.0f} s, validation included; "
            f"kept: those of step {kept['at']} (worst count of fcg in training {kept['best'][0]:.1f}, mean {kept['best'][1]:.1f}; 100 stands for none)."
        )
    return networks, notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--dims", type=int, nargs="+", default=[3, 2])
    parser.add_argument("--grids", type=int, nargs="+", help="Cells per axis, instead of those of the table.")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if options.train:
        print("complete" if train(time.perf_counter() + options.seconds) else "to be continued")
        return
    head = [
        "# Deep conjugate directions on Poisson's equation", "",
        f"White noise and a constant as right-hand sides, seconds are their mean; relative residual verified in float64; "
        f"one thread of a shared machine, {platform.machine()}, torch {torch.__version__}. Networks were trained at 32³ (tied weights and V-cycle: on 16³ too) or 64² "
        "(those two: on 32² too) and applied unchanged, with the window of 2 (linear) or 10 (nonlinear) and the guard \"switch\". PETSc's preconditioners "
        "on the same matrices in space: petsc_peers.md. Regenerate with `python benchmarks/deep_conjugate_directions.py --train`, then without the option.", "",
        "| grid | method | noise: iterations to 1e-4 / 1e-6 | constant: the same | set-up ms | solve ms | verified | guard |", "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    rows, notes = [], []
    classical = [("CG", "none"), ("CG + incomplete Cholesky", "ic"), ("CG + AMG (aggregation)", "amg:sa"), ("CG + AMG (Ruge-Stüben)", "amg:rs")]
    for dim in options.dims:
        learned, more = trained(dim)
        notes += more
        for n in options.grids or GRIDS[dim]:
            for name, method, M in [*((a, "cg", b) for a, b in classical), *((a, "dcdm", b) for a, b in learned)]:
                rows.append(row(dim, n, name, method, M))
                print(rows[-1], flush=True)
                RESULT.write_text("\n".join([*head, *rows, "", *notes]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
