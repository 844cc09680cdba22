"""Learned V-cycle on log-normal coefficients of contrast up to 1e6, on grids that it was trained on and on finer ones.

One cycle, trained on log-normal coefficients whose contrast is drawn anew from 10 to 10⁶, solves unseen ones of given contrasts beside
itself untrained and algebraic multigrid; another, trained on a constant coefficient, solves Poisson's equation. Iterations to a verified 1e-6.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from learned_preconditioners import QUIET
from lightning import Trainer

from pdeflow import seeds
from pdeflow.linalg import solve
from pdeflow.models import LearnedVCycle
from pdeflow.problems import Elliptic, Instance, LogNormalDarcy, Poisson
from pdeflow.tasks import DirectionLearning

RESULT = Path(__file__).resolve().parent / "results" / "learned_v_cycle_contrast.md"
RTOL, DECADES, INVERSE_LENGTHS = 1e-6, (1.0, 6.0), (3.0, 30.0)
METHODS = ("untrained", "trained", "amg:sa", "amg:rs", "ic", "none")
TITLES = ("cycle untrained", "cycle trained", "AMG-CG (aggregation)", "AMG-CG (Ruge-Stüben)", "IC-CG", "CG")


@dataclass(frozen=True)
class Contrast(LogNormalDarcy):
    """Log-normal coefficients stretched to a contrast on their grid; contrast and correlation length are given or drawn."""

    decades: float | None = None
    inverse_length: float | None = None

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw the Gaussian field, and its contrast and length where they are not given, log-uniformly."""
        u, v = torch.rand(2, generator=generator).tolist()
        decades = self.decades or DECADES[0] + (DECADES[1] - DECADES[0]) * u
        low, high = INVERSE_LENGTHS
        drawn = LogNormalDarcy(tau=self.inverse_length or low * (high / low) ** v).sample(generator)

        def stretch(g: torch.Tensor) -> torch.Tensor:
            return torch.exp(math.log(10) * decades * (g - g.min()) / (g.max() - g.min()))

        return Instance({"a": replace(drawn.fields["a"], transform=stretch)})


def train(problem: Elliptic, steps: int) -> tuple[LearnedVCycle, float]:
    """Return the trained cycle and the processor seconds of its training."""
    torch.manual_seed(0)
    task = DirectionLearning(LearnedVCycle(), problem, steps_per_epoch=steps, instances=2, rtol=RTOL)
    start = time.process_time()
    Trainer(max_steps=steps, limit_val_batches=0, **QUIET).fit(task)
    return task.network, time.process_time() - start


def counts(problem: Elliptic, n: int, name: str, trained: LearnedVCycle, systems: int) -> list[int | None]:
    """Iterations on unseen instances; None where the method does not converge."""
    found = []
    for index in range(systems):
        system = problem.system(problem.sample(seeds.generator(1, seeds.SOLVE, index)), problem.grid((n, n)))
        M: Any = {"untrained": LearnedVCycle(), "trained": trained}.get(name, name)
        method = "fcg" if isinstance(M, LearnedVCycle) else "cg"
        solution = solve(system, method=method, preconditioner=M, rtol=RTOL, maxiter=20_000, guard="none")
        found.append(solution.iterations if solution.converged else None)
    return found


def cell(found: list[int | None]) -> str:
    """Mean and worst of the counts."""
    reached = [count for count in found if count is not None]
    failed = f", {len(found) - len(reached)} not" if len(reached) < len(found) else ""
    return f"{np.mean(reached):.1f} / {max(reached)}{failed}" if reached else "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grids", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--systems", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rough, seconds = train(Contrast(), options.steps)
    plain, short = train(Poisson(), options.steps)
    lines = [
        "# Learned V-cycle on log-normal coefficients", "",
        f"Iterations to 1e-6, mean / worst of {options.systems} unseen systems, verified in float64; {platform.machine()}, torch {torch.__version__}. One cycle, "
        f"trained on 32² and 64² with contrasts drawn from 10 to 1e6 and correlation lengths from 1/3 to 1/30 ({options.steps} steps, {seconds:.0f} CPU seconds), serves all rows but those of contrast 1; theirs was trained "
        f"on Poisson's equation ({short:.0f} CPU seconds). CG is counted at 64². Regenerate with `python benchmarks/learned_v_cycle_contrast.py`.", "",
        f"| grid | correlation length | contrast | {' | '.join(TITLES)} |", "|---|---|---|" + "---|" * len(TITLES),
    ]  # fmt: skip
    for n in options.grids:
        for tau, decades in ((0, 0), *((tau, decades) for tau in INVERSE_LENGTHS for decades in (2, 4, 6))):
            problem, trained = (Contrast(decades=decades, inverse_length=tau), rough) if decades else (Poisson(), plain)
            cells = [
                "" if n > 64 and name == "none" else cell(counts(problem, n, name, trained, options.systems)) for name in METHODS
            ]
            lines.append(f"| {n}² | {f'1/{tau:.0f}' if tau else ''} | {10**decades:.0e} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
            RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
