"""Learned V-cycles, trained on empty boxes, around obstacles they never saw: iterations and seconds beside AMG and incomplete Cholesky.

Poisson's equation with white noise as right-hand side; discs and balls, insulating (∂u/∂n = 0) or cold (u = 0), u = 0 on the box. Last
the pressure of a plume around a ball in a box that is open at the top and insulated elsewhere.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from learned_preconditioners import QUIET, Laplace
from lightning import Trainer

from pdeflow import seeds
from pdeflow.discretization import diffusion_system
from pdeflow.discretization.obstacles import obstacle_system
from pdeflow.geometry import Grid
from pdeflow.linalg import LinearSystem, solve
from pdeflow.linalg.obstacles import Obstacles
from pdeflow.models import LearnedVCycle
from pdeflow.problems import PlumePressure
from pdeflow.tasks import DirectionLearning

RESULT = Path(__file__).resolve().parent / "results" / "deep_conjugate_obstacles.md"
RTOL = 1e-6
BALLS = {
    2: {"disc": (((0.5, 0.5), 0.15),), "three discs": (((0.3, 0.4), 0.1), ((0.7, 0.6), 0.17), ((0.2, 0.8), 0.08))},
    3: {"ball": (((0.5, 0.5, 0.5), 0.15),), "two balls": (((0.3, 0.4, 0.5), 0.15), ((0.7, 0.6, 0.4), 0.2))},
}


def train(dim: int) -> tuple[LearnedVCycle, float]:
    """Train on empty boxes of two sizes; returns the cycle and its CPU seconds."""
    torch.manual_seed(0)
    sides, steps = ((32, 64), 300) if dim == 2 else ((16, 32), 100)
    task = DirectionLearning(LearnedVCycle(dim=dim), Laplace(dim=dim), grids=[(side,) * dim for side in sides], steps_per_epoch=steps)
    start = time.process_time()
    Trainer(max_steps=steps, limit_val_batches=0, **QUIET).fit(task)
    return task.network, time.process_time() - start


def system_with(n: int, dim: int, balls: Any, wall: Any) -> LinearSystem:
    """Assemble; no balls is the empty box."""
    grid, one = Grid.unit((n,) * dim), torch.ones((n,) * dim, dtype=torch.float64)
    noise = torch.randn((n,) * dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    if not balls:
        return replace(diffusion_system(grid, one, one), b=noise.flatten().numpy())
    axes = torch.meshgrid(*((torch.arange(n) + 0.5) / n for _ in range(dim)), indexing="ij")
    active = torch.ones_like(one, dtype=torch.bool)
    for centre, radius in balls:
        active &= sum((x - c) ** 2 for x, c in zip(axes, centre, strict=True)) > radius**2
    return replace(obstacle_system(grid, one, one, Obstacles(active, wall)), b=(noise * active).flatten().numpy())


def systems(n: int, dim: int) -> Iterator[tuple[str, str, LinearSystem]]:
    """Name of the obstacle, wall and system of each row."""
    yield "none", "", system_with(n, dim, (), "")
    for name, balls in BALLS[dim].items():
        for wall in ("neumann", "dirichlet"):
            yield name, wall, system_with(n, dim, balls, wall)
    problem = PlumePressure(dim=dim, centre=(0.5, 0.4, 0.5)[:dim])
    yield "plume, open top", "neumann", problem.system(problem.sample(seeds.generator(0, seeds.SOLVE, 0)), problem.grid((n,) * dim))


def cell(system: LinearSystem, method: str, M: Any) -> str:
    """Iterations and milliseconds, set-up included."""
    found = solve(system, method=method, preconditioner=M, rtol=RTOL, guard="none")
    taken = 1e3 * (found.seconds_setup + found.seconds_solve)
    return f"{found.iterations}, {taken:.0f} ms" if found.converged else "not converged"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plane", type=int, nargs="*", default=[64, 128, 256])
    parser.add_argument("--space", type=int, nargs="*", default=[32, 64, 96])
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    cycles = {dim: train(dim) for dim in (2, 3)}
    lines = [
        "# Learned V-cycles around obstacles", "",
        f"Iterations to 1e-6, verified, and milliseconds with set-up, one thread of a shared machine; {platform.machine()}, torch {torch.__version__}. The cycles were trained on empty boxes, "
        f"32² and 64² ({cycles[2][1]:.0f} CPU seconds), 16³ and 32³ ({cycles[3][1]:.0f}). Regenerate with `python benchmarks/deep_conjugate_obstacles.py --write`.", "",
        "| grid | obstacle | wall | cycle untrained | cycle trained | AMG-CG (aggregation) | IC-CG | CG |", "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for dim, sides in ((2, options.plane), (3, options.space)):
        for n in sides:
            for name, wall, system in systems(n, dim):
                methods = (("dcdm", LearnedVCycle(dim=dim)), ("dcdm", cycles[dim][0]), ("cg", "amg:sa"), ("cg", "ic"), ("cg", "none"))
                lines.append(f"| {n}^{dim} | {name} | {wall} | {' | '.join(cell(system, *m) for m in methods)} |")
                print(lines[-1], flush=True)
    if options.write:
        RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
