"""Learned V-cycle against its untrained self, algebraic multigrid, incomplete Cholesky and sparse direct solvers.

Trains on 32 x 32 and 64 x 64 cells (300 steps), then solves unseen two-phase Darcy systems on every grid to a verified 1e-8,
one thread, medians over the systems. Training time is not in the table; it is printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from lightning import Trainer

from pdeflow import seeds
from pdeflow.linalg.compare import Entry, Row, compare, default_entries
from pdeflow.models import LearnedVCycle
from pdeflow.problems import Darcy
from pdeflow.tasks import DirectionLearning

RESULT = Path(__file__).resolve().parent / "results" / "learned_v_cycle.md"


def train(steps: int) -> tuple[LearnedVCycle, float]:
    task = DirectionLearning(LearnedVCycle(), Darcy(), steps_per_epoch=50)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    start = time.perf_counter()
    Trainer(max_steps=steps, accelerator="cpu", **quiet).fit(task)
    return task.network, time.perf_counter() - start


def rows_of(n: int, systems: int, trained: LearnedVCycle) -> dict[str, list[Row]]:
    problem, found = Darcy(), {}
    for index in range(systems):
        instance = problem.sample(seeds.generator(1, seeds.SOLVE, index))
        system = problem.system(instance, problem.grid((n, n)))
        entries = [e for e in default_entries(system) if e.name != "CG + Jacobi"]
        entries += [
            Entry("learned cycle, untrained", "fcg", LearnedVCycle(), True),
            Entry("learned cycle, trained", "fcg", trained, True),
        ]
        for row in compare(system, entries, rtol=1e-8):
            found.setdefault(row.name, []).append(row)
    return found


def line(n: int, name: str, rows: list[Row], best: float) -> str:
    solved = [row for row in rows if row.solution is not None]
    if not solved:
        return f"| {n}² | {name} | {rows[0].skipped} | | | | |"
    setup, solve, total = (float(np.median(values)) for values in zip(
        *((r.solution.seconds_setup, r.solution.seconds_solve, r.seconds) for r in solved), strict=True))  # fmt: skip
    verified = sum(r.solution.converged for r in solved)
    iterations = np.mean([r.solution.iterations for r in solved])
    return f"| {n}² | {name} | {iterations:.1f} | {1e3 * setup:.2f} | {1e3 * solve:.2f} | {total / best:.2f} | {verified} of {len(rows)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grids", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--systems", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    trained, seconds = train(options.steps)
    lines = [
        "# Learned V-cycle on two-phase Darcy systems", "",
        f"{options.systems} unseen coefficients per grid, relative residual 1e-8 verified in float64, one thread, medians; {platform.machine()}, "
        f"torch {torch.__version__}. Training took {seconds:.0f} s. Regenerate with `python benchmarks/learned_v_cycle.py`.", "",
        "| grid | method | iterations | set-up ms | solve ms | total / fastest | verified |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for n in options.grids:
        found = rows_of(n, options.systems, trained)
        best = min(float(np.median([row.seconds for row in rows])) for rows in found.values())
        lines += [line(n, name, rows, best) for name, rows in found.items()]
        print("\n".join(lines[-len(found) :]), flush=True)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
