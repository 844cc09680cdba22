"""The problems of "Accelerating Data Generation for Neural Operators via Krylov Subspace Recycling" (ICLR 2024), every solver in one run.

Darcy and Helmholtz with the matrices of the released code, which are no discretization of the equations,
and corrected; heat in a slotted plate and Poisson's equation, whose matrix never
changes. SciPy's GMRES(40) and CG with the paper's seven preconditioners are the peers, with SciPy's gcrotmk, PyAMG's CG, GCRO-DR,
and `auto`, the winner of a race. One thread; every residual is recomputed. The last table is about sorting.
The peers are in `krylov_peers.py`.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import kvxopt
import numpy as np
import pyamg
import scipy
import scipy.sparse as sp
import torch
from krylov_peers import ENTRIES, PAPERS, Entry, OutOfTimeError, Task, clock, ilu
from recycling import finite_volume_system, gaussian_field, published_matrix

from pdeflow import seeds
from pdeflow.generation.ordering import features, similar_order, standardized
from pdeflow.linalg import LinearSystem
from pdeflow.linalg.gcro_dr import gcro_dr
from pdeflow.linalg.race import Race
from pdeflow.linalg.sequence import solve_raced
from pdeflow.problems import ChebyshevPoisson, LogNormalDarcy, Problem, SlottedPlate, SpongeHelmholtz

RESULT = Path(__file__).resolve().parent / "results" / "krylov_recycling.md"
BAR = 13.9
"""The paper's largest gain in seconds, for Helmholtz with ASM at 1e-7: what `auto` must gain over the best GMRES(40)."""
AUTO, WAVES = 1000, (1e-2, 1e-5, 1e-7)


# -- problems ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """System number i by a function; tolerances, systems of a sequence, and seconds at which a solve is ended."""

    name: str
    system: Callable[[int], LinearSystem]
    tolerances: tuple[float, float, float] = (1e-2, 1e-5, 1e-8)
    count: int = 10
    limit: float = 10.0


def of_problem(problem: Problem, resolution: Any, index: int) -> LinearSystem:
    instance = problem.sample(seeds.generator(0, seeds.SOLVE, index))
    return problem.system(instance, problem.layout(instance, resolution))


def darcy(index: int) -> LinearSystem:
    return finite_volume_system(100, np.random.default_rng(index))


def published(index: int, wave_number: float = 0.0, cells: int = 98) -> LinearSystem:
    """Released matrix of Darcy, or of Helmholtz with k from U(0, wave_number)."""
    rng = np.random.default_rng(index)
    A = published_matrix(np.exp(gaussian_field(cells + 2, rng)))
    shift = (rng.uniform(0, wave_number) / (cells + 1)) ** 2
    return LinearSystem((A - shift * sp.eye_array(len(A.indptr) - 1)).tocsr(), np.ones(cells**2))


FAMILIES = (
    Family("Darcy, finite volumes 100²", darcy),
    Family("Darcy, published matrices 98²", published),
    Family("Thermal, P2 elements, h = 1/40", partial(of_problem, SlottedPlate(), 0.025), count=40),
    Family("Poisson, P1 elements, h = 1/266", partial(of_problem, ChebyshevPoisson(), 1 / 266), count=20, limit=20.0),
    Family("Helmholtz, published matrices 98²", partial(published, wave_number=1.0), WAVES),
    Family("Helmholtz, absorbing layer, k = 20, 100²", partial(of_problem, SpongeHelmholtz(), (100, 100)), WAVES),
)  # fmt: skip


# -- measurement ---------------------------------------------------------------------------------------------------------


@dataclass
class Cell:
    """Means of steps and seconds of a solver at one tolerance, over `of` systems; `failure` says why there are none."""

    steps: float = 0.0
    setup: float = 0.0
    total: float = float("inf")
    of: int = 0
    all: bool = True
    failure: str = ""
    late: bool = False

    def __str__(self) -> str:
        if self.failure:
            return self.failure
        few = "" if self.all else f" ×{self.of}"
        return f"{self.steps:.0f}: {milliseconds(self.total)} ({1e3 * self.setup:.1f}){few}"


def milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:{'.0f' if seconds >= 0.1 else '.1f' if seconds >= 0.01 else '.2f'}}"


def measure(entry: Entry, systems: Sequence[LinearSystem], rtol: float, limit: float) -> Cell:
    """Solve the systems; who is slow solves the first two, and as many more as begin within 1.5 seconds; with carry-over five and 40."""
    rows: list[tuple[float, float, float]] = []
    memory, began = None, clock()
    least, patience = (5, 40.0) if entry.carry else (2, 1.5)
    for system in systems:
        if len(rows) >= least and clock() - began > patience:
            break
        start = clock()
        try:
            M = entry.make(system)
            setup = clock() - start
            task = Task(system, M, rtol, clock() + limit, memory if entry.carry else None)
            x, steps, memory = entry.run(task)
        except OutOfTimeError as stopped:
            x = stopped.args[0]
        except (ArithmeticError, ValueError, RuntimeError, TypeError) as error:
            print(f"   {entry.solver}, {entry.preconditioner}: {type(error).__name__}: {error}")
            return Cell(failure="-")
        seconds = clock() - start
        residual = float(np.linalg.norm(system.b - system.A @ x) / np.linalg.norm(system.b))
        if not residual <= 1.01 * rtol:
            late = seconds > limit
            told = f"> {limit:.0f} s" if late else f"ended after {seconds:.2g} s"
            return Cell(failure=f"{told} (residual {residual:.0e})", late=late)
        rows.append((steps, setup, seconds))
    counted = rows[1:] if entry.carry else rows
    steps, setup, seconds = np.mean(counted, axis=0).tolist()
    return Cell(steps, setup, seconds, len(counted), len(rows) == len(systems))


@dataclass(frozen=True)
class Auto:
    """What `auto` did: its cell in the table, who won, and seconds per system with the race."""

    text: str
    winner: str
    each: float


def automatic(systems: Sequence[LinearSystem], rtol: float, count: int) -> Auto:
    """Solve the systems forth and back until there are enough, so that neighbours stay neighbours."""
    races: list[tuple[Race, float]] = []
    period = [*systems, *systems[-2:0:-1]]
    sequence = (period[i % len(period)] for i in range(count))
    began = clock()
    found = solve_raced(sequence, rtol, on_race=lambda race: races.append((race, clock() - began)))
    steps, residuals = np.transpose([(solution.iterations, solution.residual) for solution in found])
    whole, race = clock() - began, races[0][1]
    if residuals.max() > rtol:
        raise RuntimeError(f"auto left a residual of {residuals.max():.1e}")
    winner = ", then ".join(dict.fromkeys(race.winner.name for race, _ in races))
    each = milliseconds((whole - race) / count)
    return Auto(f"{steps.mean():.0f}: {each}; {winner}; race {1e3 * race:.0f} ms", winner, whole / count)


# -- tables --------------------------------------------------------------------------------------------------------------

SUMMARY = (
    "| problem | n | rtol | best GMRES(40) of the seven | ms | `auto` | ms, race included | gain | bar 13.9 | gain, set-up of GMRES not counted "
    "| GMRES(40) + AMG, ms | gain | fastest peer of all, ms | gain | GMRES(40) : GCRO-DR, ILU(0), steps / s | gcrotmk : GCRO-DR, ILU(0), steps / s |"
)  # fmt: skip


def family_table(family: Family) -> tuple[list[str], str]:
    """Return the table of one problem and its line in the summary."""
    systems = [family.system(i) for i in range(family.count)]
    titles = " | ".join(f"{rtol:.0e}" for rtol in family.tolerances)
    lines = [f"## {family.name}, n = {systems[0].n}", "", f"| solver | preconditioner | {titles} |", "|---|---|---:|---:|---:|"]  # fmt: skip
    last: dict[tuple[str, str], Cell] = {}
    for entry in ENTRIES:
        if entry.definite and not systems[0].positive_definite:
            continue
        cells: list[Cell] = []
        for rtol in family.tolerances:  # who runs out of time is not asked for more digits
            late = bool(cells) and cells[-1].late
            cells.append(cells[-1] if late else measure(entry, systems, rtol, family.limit))
        lines.append(f"| {entry.solver} | {entry.preconditioner} | {' | '.join(map(str, cells))} |")
        last[entry.solver, entry.preconditioner] = cells[-1]
        print(lines[-1], flush=True)
    autos = [automatic(systems, rtol, AUTO if rtol < 1e-6 else AUTO // 10) for rtol in family.tolerances]
    lines += [f"| `auto` | | {' | '.join(auto.text for auto in autos)} |", ""]
    print(lines[-2], flush=True)
    return lines, summary(family, systems[0].n, last, autos[-1])


def summary(family: Family, n: int, last: dict[tuple[str, str], Cell], auto: Auto) -> str:
    solver, mine = "SciPy GMRES(40)", auto.each
    best = min(PAPERS, key=lambda name: last[solver, name].total)
    cell, multigrid = last[solver, best], last[solver, "AMG"]
    ready = min(c.total - c.setup for c in (last[solver, name] for name in PAPERS))
    peer = min((key for key in last if "GCRO-DR" not in key[0]), key=lambda key: last[key].total)

    def against(other: str) -> str:
        a, b = last[other, "ILU(0)"], last["GCRO-DR(40, 20)", "ILU(0)"]
        return "-" if a.failure or b.failure else f"{a.steps / b.steps:.2f} / {a.total / b.total:.2f}"

    gain = cell.total / mine
    return (
        f"| {family.name} | {n} | {family.tolerances[-1]:.0e} | {best} | {milliseconds(cell.total)} | {auto.winner} | {milliseconds(mine)} "
        f"| {gain:.1f} | {'met' if gain >= BAR else 'missed'} | {ready / mine:.1f} "
        f"| {milliseconds(multigrid.total)} | {multigrid.total / mine:.1f} "
        f"| {peer[0]} + {peer[1]}, {milliseconds(last[peer].total)} | {last[peer].total / mine:.1f} "
        f"| {against(solver)} | {against('SciPy gcrotmk(20, 20)')} |"
    )


def sorting_table(count: int = 1500, solved: int = 400) -> list[str]:
    """Neighbour distances of all samples, and steps for the first ones, as drawn and sorted among themselves."""
    problem = LogNormalDarcy(sigma=0.19, alpha=2.5, tau=7.0)
    drawn = [problem.sample(seeds.generator(0, seeds.SOLVE, i)) for i in range(count)]
    points = standardized([features(problem, instance) for instance in drawn], 0)

    def distance(order: np.ndarray) -> float:
        return float(np.linalg.norm(np.diff(points[order], axis=0), axis=1).mean())

    def steps(order: np.ndarray) -> float:
        counts, recycle = [], None
        for index in order:
            system = problem.system(drawn[index], problem.layout(drawn[index], (64, 64)))
            solution = gcro_dr(system, rtol=1e-8, M=ilu(system), recycle=recycle)
            counts.append(solution.iterations)
            recycle = solution.recycle
        return float(np.mean(counts[1:]))

    short = similar_order(points[:solved])
    plain, in_order = steps(np.arange(solved)), steps(short)
    near, all_near = (
        distance(short) / distance(np.arange(solved)),
        distance(similar_order(points)) / distance(np.arange(count)),
    )
    return [
        "## Sorting: log-normal Darcy, a = exp(0.19 g), α = 2.5, τ = 7, 64² cells, GCRO-DR(40, 20) + ILU(0) at 1e-8", "",
        f"| neighbour distance over that as drawn, {count} samples | {solved} samples | steps as drawn | steps sorted | ratio |", "|---:|---:|---:|---:|---:|",
        f"| {all_near:.3f} | {near:.3f} | {plain:.1f} | {in_order:.1f} | {in_order / plain:.3f} |",
    ]  # fmt: skip


def head() -> list[str]:
    return [
        "# The problems of the recycling paper: every solver in one run", "",
        f"SciPy {scipy.__version__}, NumPy {np.__version__}, PyAMG {pyamg.__version__}, kvxopt {kvxopt.__version__}, "
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors, one thread, load average "
        f"{os.getloadavg()[0]:.1f} at the start. Written by `benchmarks/krylov_recycling.py`.", "",
        "A cell reads `steps: ms per system (ms of set-up in it)`, means; `×3` says over how many systems where a slow solver did not "
        "solve all (ten, twenty for Poisson and forty for Thermal, whose matrices stay); those that carry do not count the first one. The published matrices differ much from system "
        "to system, and so do means over few of them. Times are those of the processor, which other "
        "work on the machine hardly changes. `> 10 s` was ended then, with the residual it had; `-` does not suit. Steps of gcrotmk count "
        "applications of M; SciPy's GMRES preconditions from the left. Block Jacobi and ASM have eight blocks and one layer of "
        f"overlap, restricted in GMRES. `auto` runs {AUTO} systems at the finest tolerance, {AUTO // 10} at the others, forth and back; its race stands apart in the "
        "tables, and is included in the summary. ILU(0) of a complex matrix is SuperLU's with fill 2. "
        "PETSc is left out: it has no wheel here.", "",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", type=int, nargs="*", default=range(len(FAMILIES)))
    parser.add_argument("--out", type=Path, default=RESULT, help="Written anew after every problem.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    opening, tables = head(), []
    rows = [SUMMARY, "|---|---:|---:|---|---:|---|---:|---:|---|---:|---:|---:|---|---:|---:|---:|"]
    for index in options.family:
        began = clock()
        lines, line = family_table(FAMILIES[index])
        tables, rows = [*tables, *lines], [*rows, line]
        print(line, f"{clock() - began:.0f} s", flush=True)
        if index == options.family[-1]:
            tables += sorting_table()
            print(tables[-1], f"{clock():.0f} s")
        options.out.write_text("\n".join([*opening, "## Summary", "", *rows, "", *tables]) + "\n")


if __name__ == "__main__":
    main()
