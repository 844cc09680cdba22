"""A network that learns one Helmholtz matrix, beside ILU and the exact shifted Laplacian as preconditioners of FGMRES, and a direct solve.

-Δu - k² (1 + iσ) u = f on 64² cells, six wave lengths across (10.7 cells each), k random by 20 %, an absorbing sponge at the walls.
"""

from __future__ import annotations

import math
import os
import platform
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy.sparse as sp
import torch
from learned_preconditioners import QUIET
from lightning import Trainer
from scipy.sparse.linalg import splu

from pdeflow import seeds
from pdeflow.linalg import solve
from pdeflow.linalg.preconditioners import Preconditioner
from pdeflow.models import MediumNet
from pdeflow.problems import SpongeHelmholtz
from pdeflow.tasks import MediumLearning

RESULT = Path(__file__).resolve().parent / "results" / "deep_conjugate_helmholtz.md"
RTOL, MOST, SHIFT = 1e-6, 1000, 0.5


def trained(steps: int) -> tuple[MediumLearning, float]:
    """Train for so many steps; returns the task and its CPU seconds."""
    torch.manual_seed(0)
    task = MediumLearning(MediumNet(), SpongeHelmholtz(wave_number=12 * math.pi), rtol=RTOL)
    start = time.process_time()
    Trainer(max_steps=steps, **QUIET).fit(task)
    return task, time.process_time() - start


class ShiftedLaplacian:
    """Exact inverse of -Δ - k² (1 + iσ + i/2); its factorization is its set-up."""

    def __init__(self, task: MediumLearning) -> None:
        grid = task.problem.grid(task.network.grid)
        k = task.problem.sample(seeds.generator(task.seed, seeds.SOLVE, task.instance)).fields["k"].on(grid).numpy().reshape(-1)
        self.mass = sp.diags_array(k**2) * grid.cell_measure

    def setup(self, system: Any) -> Preconditioner:
        """Factor it."""
        factor = splu(sp.csc_matrix(system.A - 1j * SHIFT * self.mass))
        return Preconditioner("shifted Laplacian", factor.solve, system.A.shape, True, None, None)


def row(task: MediumLearning, name: str, method: str, M: Any, note: str = "") -> str:
    """Worst iterations over three right-hand sides, mean seconds."""
    systems = [replace(task.system, b=b.astype(task.system.b.dtype)) for b in task.right_hand_sides()]
    found = [solve(s, method=method, preconditioner=M, rtol=RTOL, maxiter=MOST, guard="none") for s in systems]
    solved = sum(f.converged for f in found)
    iterations = max(f.iterations for f in found) if solved == len(found) else f"more than {MOST}"
    setup, seconds = (1e3 * float(np.mean([getattr(f, key) for f in found])) for key in ("seconds_setup", "seconds_solve"))
    return f"| {name} | {iterations} | {setup:.1f} | {seconds:.1f} | {solved} of {len(found)} | {note} |"


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    tasks = {steps: trained(steps) for steps in (100, 200, 400)}
    task = tasks[100][0]
    count = sum(p.numel() for p in task.network.parameters())
    lines = [
        "# A learned preconditioner for one Helmholtz matrix", "",
        f"64² cells, six wave lengths, sponge; FGMRES(30) to 1e-6, verified, worst iterations and mean seconds of three right-hand sides (a pulse, a point source, white noise); "
        f"one thread, {platform.machine()}, torch {torch.__version__}. MediumNet has {count:,} complex parameters and knows this one medium. Regenerate with "
        "`python benchmarks/deep_conjugate_helmholtz.py`.", "",
        "| method | iterations | set-up ms | solve ms | verified | note |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    rows: list[tuple[str, str, Any, str]] = [
        ("FGMRES", "fgmres", "none", ""), ("FGMRES + ILU", "fgmres", "ilu", "drop tolerance 1e-4, fill 10"),
        ("FGMRES + exact shifted Laplacian", "fgmres", ShiftedLaplacian(task), "shift 0.5, factored"),
    ]  # fmt: skip
    rows += [(f"FGMRES + MediumNet, {k} steps", "fgmres", t.network, f"trained in {s:.0f} CPU seconds") for k, (t, s) in tasks.items()]
    for entry in (*rows, ("direct", "direct", "none", "")):
        lines.append(row(task, *entry))
        print(lines[-1], flush=True)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
