"""What a race costs: `solve_raced` against the best single candidate over 1,000 systems of five families, race included.

Every candidate that suits solves twelve systems; the two fastest and `auto` then solve all of them in turn, 50 at a time, so
that the machine's other work meets all alike, the first place going round because it finds the matrices in no cache.
SciPy's GMRES(40) is the peer, on two systems and with at most 1,000 steps.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import kvxopt
import numpy as np
import scipy
import scipy.sparse.linalg as sla
import torch

from pdeflow import seeds
from pdeflow.discretization.finite_volume import diffusion_system
from pdeflow.geometry import Box, Grid
from pdeflow.linalg import LinearSystem, Solution
from pdeflow.linalg.candidates import Candidate, default_candidates
from pdeflow.linalg.probe import detect, known
from pdeflow.linalg.race import Race
from pdeflow.linalg.sequence import solve_raced, solve_sequence
from pdeflow.problems import ConvectionDiffusion, LogNormalDarcy, Problem, SlottedPlate, SpongeHelmholtz
from pdeflow.random_fields import gaussian_random_field

RESULT = Path(__file__).resolve().parent / "results" / "race.md"
UNIT_CUBE = Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
DISTINCT, TRIAL, CHUNK, PEERS = 100, 12, 50, 2
HOPELESS = 8
"""Time over that of the fastest at which a trial of a single candidate is ended."""


@dataclass(frozen=True)
class Family:
    """Systems to solve: number i by a function, and how many."""

    name: str
    system: Callable[[int], LinearSystem]
    rtol: float = 1e-8


def of_problem(problem: Problem, resolution: Any) -> Callable[[int], LinearSystem]:
    def system(index: int) -> LinearSystem:
        instance = problem.sample(seeds.generator(0, seeds.SOLVE, index))
        return problem.system(instance, problem.layout(instance, resolution))

    return system


def darcy_3d(index: int, n: int = 24) -> LinearSystem:
    """-∇·(a∇u) = 1 with log a Gaussian of standard deviation one."""
    grid = Grid.unit((n, n, n))
    generator = seeds.generator(0, seeds.SOLVE, index)
    log = (
        gaussian_random_field(UNIT_CUBE, alpha=3.0, tau=5.0, generator=generator, modes=16)
        .on(grid)
        .reshape(grid.shape)
    )
    return diffusion_system(grid, torch.exp(log / log.std()), torch.ones(grid.shape).double())


FAMILIES = (
    Family("SPD 2-D: log-normal Darcy 64²", of_problem(LogNormalDarcy(), (64, 64))),
    Family("SPD 3-D: log-normal Darcy 24³", darcy_3d),
    Family("constant matrix: slotted plate", of_problem(SlottedPlate(), 0.025)),
    Family("convection-diffusion 64²", of_problem(ConvectionDiffusion(), (64, 64))),
    Family("Helmholtz, absorbing 64²", of_problem(SpongeHelmholtz(), (64, 64))),
)


def there_and_back(distinct: Sequence[LinearSystem], count: int) -> Iterator[LinearSystem]:
    """The distinct systems forth and back until there are enough: neighbours stay neighbours, and none is solved twice in a row."""
    period = [*distinct, *distinct[-2:0:-1]]
    return (period[i % len(period)] for i in range(count))


@dataclass
class Runner:
    """One way to solve the sequence, with the seconds it took."""

    name: str
    solutions: Iterator[Solution]
    wall: float = 0.0
    processor: float = 0.0
    solved: int = 0
    worst: float = 0.0
    times: list[float] = field(default_factory=list)

    def advance(self, count: int) -> int:
        """Solve up to `count` systems and return how many."""
        wall, processor = time.perf_counter(), time.thread_time()
        done = list(islice(self.solutions, count))
        self.times.append(time.thread_time() - processor)
        self.wall, self.processor = self.wall + time.perf_counter() - wall, self.processor + self.times[-1]
        self.solved += len(done)
        self.worst = max([self.worst, *(solution.residual for solution in done)])
        return len(done)


def trial(candidate: Candidate, systems: list[LinearSystem], rtol: float, fastest: float) -> float:
    """Median seconds per system of a candidate; infinity where it fails or is hopeless."""
    runner, times = Runner(candidate.name, solve_sequence(systems, candidate, rtol)), []
    try:
        for _ in systems:
            runner.advance(1)
            times.append(runner.times[-1])
            if runner.worst > rtol or (len(times) > 1 and times[-1] > HOPELESS * fastest):
                return float("inf")
    except (ValueError, ArithmeticError):
        return float("inf")
    return statistics.median(times[1:])


def singles(systems: list[LinearSystem], rtol: float) -> dict[str, tuple[float, Candidate]]:
    """Every candidate that suits and solves, fastest first."""
    probe, first, found, fastest = detect(systems), known(systems[0]), {}, float("inf")
    for candidate in default_candidates():
        if candidate.fits(probe) or candidate.suits(first):
            continue
        seconds = trial(candidate, systems[:TRIAL], rtol, fastest)
        fastest = min(fastest, seconds)
        if np.isfinite(seconds):
            found[candidate.name] = (seconds, candidate)
    return dict(sorted(found.items(), key=lambda item: item[1][0]))


def peer(systems: list[LinearSystem], rtol: float, preconditioner: str) -> str:
    """Milliseconds per system of SciPy's GMRES(40), set-up included."""
    times = []
    for system in systems[:PEERS]:
        began = time.thread_time()
        M = None
        if preconditioner == "Jacobi":
            inverse = 1 / system.A.diagonal()
            M = sla.LinearOperator(
                system.A.shape, lambda r, d=inverse: d * r.reshape(-1), dtype=system.A.dtype
            )
        elif preconditioner == "ILU":
            factor = sla.spilu(system.A.tocsc(), drop_tol=1e-4, fill_factor=10)
            M = sla.LinearOperator(system.A.shape, factor.solve, dtype=system.A.dtype)
        x, _ = sla.gmres(system.A, system.b, rtol=rtol, restart=40, maxiter=25, M=M)
        times.append(time.thread_time() - began)
        if np.linalg.norm(system.b - system.A @ x) > 1.01 * rtol * np.linalg.norm(system.b):
            return f"> {1e3 * statistics.median(times):.0f}"
    return f"{1e3 * statistics.median(times):.0f}"


def row(family: Family, count: int) -> str:
    distinct = [family.system(i) for i in range(DISTINCT)]
    rtol, ranked = family.rtol, singles(distinct, family.rtol)
    races: list[tuple[Race, float]] = []
    mark = [0.0]
    auto = Runner("auto", solve_raced(there_and_back(distinct, count), rtol, on_race=lambda r: races.append((r, time.thread_time() - mark[0]))))  # fmt: skip
    others = [
        Runner(
            name, solve_sequence(there_and_back([known(s) for s in distinct], count), ranked[name][1], rtol)
        )
        for name in islice(ranked, 2)
    ]
    mark[0] = time.thread_time()  # the race is the first thing that `auto` does
    turn = [auto, *others]
    while any([runner.advance(CHUNK) for runner in turn]):  # a list: all of them advance
        turn = [*turn[1:], turn[0]]  # the first one finds the matrices in no cache
    best = min(others, key=lambda runner: runner.processor)
    second = max(others, key=lambda runner: runner.processor)
    peers = " / ".join(peer(distinct, rtol, name) for name in ("none", "Jacobi", "ILU"))
    runner_up = f"{second.name} {second.processor:.2f}" if second is not best else "-"
    winners = ", ".join(dict.fromkeys(race.winner.name for race, _ in races))
    return (
        f"| {family.name} | {distinct[0].n} | {auto.solved} | {winners} | {auto.processor:.2f} | {races[0][1]:.3f} "
        f"| {best.name} | {best.processor:.2f} | {auto.processor / best.processor:.3f} | {auto.wall / best.wall:.2f} | {runner_up} "
        f"| {1e3 * auto.processor / auto.solved:.3g} | {peers} | {max(auto.worst, best.worst):.0e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--family", type=int, nargs="*", default=range(len(FAMILIES)))
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    lines = [
        "# The race: `auto` against the best single candidate, race included",
        "",
        f"kvxopt {kvxopt.__version__}, SciPy {scipy.__version__}, NumPy {np.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}, {os.cpu_count()} processors, one thread, load average {load:.1f} at the start. "
        "Written by `benchmarks/race.py`.",
        "",
        "| family | n | systems | auto chose | auto s | of which race s | best single | s | ratio | ratio (wall) "
        "| second single, s | auto ms per system | SciPy GMRES(40) none / Jacobi / ILU, ms per system | largest residual |",
        "|---|---:|---:|---|---:|---:|---|---:|---:|---:|---|---:|---|---:|",
    ]
    for index in options.family:
        began = time.perf_counter()
        lines.append(row(FAMILIES[index], options.count))
        print(lines[-1], f"{time.perf_counter() - began:.0f} s", flush=True)
    lines += [
        "",
        f"Seconds are those of the thread's processor, which other work on the machine does not change; the ratio of wall times "
        f"stands beside. The systems are {DISTINCT} distinct ones forth and back, {CHUNK} for each solver in turn, and who begins changes; their assembly is not timed. A `>` marks a "
        "peer that did not reach the tolerance (1e-8) in 1,000 steps.",
    ]
    if len(list(options.family)) == len(FAMILIES):
        RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
