"""Samples per second of batched multigrid, on a GPU where there is one, beside a sparse Cholesky factorization on the CPU.

Each batch is solved from its coefficients: conductances, hierarchy, iterations and verdict are all in the time. The direct solver gets assembled
matrices of one pattern, analysed before; numbers, solve and residual are timed, one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy
import torch

from pdeflow import seeds
from pdeflow.discretization.finite_volume import diffusion_system
from pdeflow.geometry import Grid
from pdeflow.linalg.batched_multigrid import solve_batch
from pdeflow.linalg.reused_factor import analyse
from pdeflow.problems import Darcy, LogNormalDarcy, Problem

RESULT = Path(__file__).resolve().parents[1] / "results" / "gpu" / "batched_multigrid.md"
RTOL, REPEATS, DISTINCT, DIRECT = 1e-8, 3, 8, 6
CPU_CELLS, GPU_CELLS = 2**18, 2**24
"""Cells of a batch: what a cache and what a memory holds."""


@dataclass(frozen=True)
class Entry:
    """Coefficients to solve for."""

    name: str
    problem: Problem
    sides: tuple[int, ...]


ENTRIES = (
    Entry("log-normal", LogNormalDarcy(), (64, 128, 256)),
    Entry("two-phase, contrast 4", Darcy(), (64, 128, 256)),
    Entry("two-phase, contrast 3000", Darcy(low=1e-3, high=3.0), (64, 128, 256)),
)


def coefficients(entry: Entry, grid: Grid, count: int) -> torch.Tensor:
    """Distinct draws, repeated until there are enough, shape (count, *shape)."""
    draws = [entry.problem.sample(seeds.generator(0, seeds.SOLVE, i)) for i in range(min(count, DISTINCT))]
    a = torch.stack([draw.fields["a"].on(grid) for draw in draws])
    return a[torch.arange(count) % len(a)]


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Shortest of some runs: of the thread's processor on a CPU, which other work does not change, of the clock on a GPU."""
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    times = []
    for _ in range(REPEATS):
        began = clock()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(clock() - began)
    return min(times)


def direct(a: torch.Tensor, grid: Grid) -> tuple[str, float, float]:
    """Backend, seconds per sample and largest residual of the factorization."""
    systems = [diffusion_system(grid, field, torch.ones(grid.shape)) for field in a[:DIRECT]]
    try:
        backend, analysis = "CHOLMOD", analyse(systems[0].A, "CHOLMOD")
    except ImportError:
        backend, analysis = "SuperLU", analyse(systems[0].A, "SuperLU, symmetric mode")
    times, worst = [], 0.0
    for system in systems:
        began = time.thread_time()
        x = analysis.factor(system.A.data)(system.b)
        worst = max(worst, float(np.linalg.norm(system.b - system.A @ x) / np.linalg.norm(system.b)))
        times.append(time.thread_time() - began)
    return backend, min(times), worst


def row(entry: Entry, side: int, device: torch.device, batch: int | None) -> str:
    """One line of the table."""
    grid = Grid.unit((side, side))
    cells = CPU_CELLS if device.type == "cpu" else GPU_CELLS
    count = batch or max(1, min(cells // side**2, 4096))
    a = coefficients(entry, grid, count)
    backend, once, residual = direct(a, grid)
    there = a.to(device)
    f = torch.ones_like(there)
    columns, rates = [], []
    for cycle in (torch.float64, torch.float32):
        found = solve_batch(there, f, grid.spacing(), rtol=RTOL, cycle=cycle)
        taken = seconds(lambda c=cycle: solve_batch(there, f, grid.spacing(), rtol=RTOL, cycle=c), device)
        steps = f"{int(found.iterations.min())}-{int(found.iterations.max())}"
        rates.append(count / taken)
        verdict = f"{float(found.residual.max()):.0e}" if bool(found.converged.all()) else "not converged"
        columns.append(f"{steps} | {rates[-1]:.3g} | {verdict}")
    return (
        f"| {entry.name} | {side}² | {count} | {' | '.join(columns)} | {backend} {1 / once:.3g} | {residual:.0e} "
        f"| {max(rates) * once:.2g} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--sides", type=int, nargs="*", default=None)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    machine = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"one thread of {platform.machine()}"
    )
    lines = [
        "# Batched multigrid beside a sparse Cholesky factorization",
        "",
        f"On {machine}; torch {torch.__version__}, SciPy {scipy.__version__}, Python {platform.python_version()}, {os.cpu_count()} "
        f"processors, load average {os.getloadavg()[0]:.1f} at the start. Relative residual {RTOL:.0e}. Written by "
        "`benchmarks/gpu/batched_multigrid.py`.",
        "",
        "| coefficient | grid | batch | steps | samples/s | largest residual | steps, float32 cycle | samples/s | largest residual "
        "| direct, CPU, samples/s | its residual | ratio |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    print("\n".join(lines), flush=True)
    for entry in ENTRIES:
        for side in options.sides or (entry.sides if device.type == "cpu" else (*entry.sides, 512, 1024)):
            lines.append(row(entry, side, device, options.batch))
            print(lines[-1], flush=True)
    if options.write:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
