"""The solvers of `krylov_recycling.py` as a table of entries: SciPy and PyAMG with the paper's preconditioners, and ours."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import ilupp
import numpy as np
import pyamg
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from recycling import memory_ilu, strong_ilu, zero_ilu
from scipy.sparse.csgraph import reverse_cuthill_mckee

from pdeflow.linalg import LinearSystem
from pdeflow.linalg.gcro_dr import gcro_dr
from pdeflow.linalg.preconditioners import Preconditioner, amg, identity, jacobi

BLOCKS = 8
clock = time.process_time
"""Seconds of all threads of this process: other work on the machine hardly changes them, and no thread hides."""


# -- preconditioners -----------------------------------------------------------------------------------------------------


def symmetric_sor(system: LinearSystem) -> Preconditioner:
    """One forward and one backward sweep of Gauss and Seidel from zero."""
    A = sp.csr_matrix(system.A)

    def apply(r: np.ndarray) -> np.ndarray:
        z = np.zeros_like(r)
        pyamg.relaxation.relaxation.gauss_seidel(A, z, r, sweep="symmetric")
        return z

    return Preconditioner("SOR", apply, A.shape)


def incomplete_cholesky(system: LinearSystem) -> Preconditioner:
    """ICC(0) of the symmetric part; the diagonal is raised where the factorization breaks down, as PETSc does."""
    A, diagonal = (system.A + system.A.T) / 2, sp.diags_array(system.A.diagonal())
    for shift in (0.0, 1e-3, 1e-2, 1e-1):
        factor = ilupp.IChol0Preconditioner(sp.csr_matrix(A + shift * diagonal))
        pivots = factor.factors()[0].diagonal()
        if len(pivots) == system.n and np.all(np.isfinite(pivots)) and np.all(pivots > 0):
            return Preconditioner("ICC", lambda r, factor=factor: factor @ r, A.shape)
    raise ArithmeticError("the incomplete factorization broke down")


def lu(system: LinearSystem) -> Preconditioner:
    return Preconditioner("LU", sla.splu(sp.csc_matrix(system.A)).solve, system.A.shape)


def ilu(system: LinearSystem) -> Preconditioner:
    """ILU(0); ilupp is real, so complex matrices get SuperLU's with fill 2."""
    return memory_ilu(system) if np.iscomplexobj(system.A) else zero_ilu(system)


def schwarz(
    system: LinearSystem,
    inner: Callable[[LinearSystem], Preconditioner],
    overlap: int,
    restricted: bool = True,
) -> Preconditioner:
    """Eight blocks of unknowns, in reverse Cuthill-McKee order; `restricted` keeps what a block finds for its own alone."""
    A = system.A.tocsr()
    parts = []
    for own in np.array_split(reverse_cuthill_mckee(sp.csr_matrix(abs(A)), symmetric_mode=True), BLOCKS):
        inside = np.zeros(system.n, dtype=bool)
        inside[own] = True
        wide = inside.copy()
        for _ in range(overlap):
            wide[A[wide].indices] = True
        rows = np.flatnonzero(wide)
        kept = inside[rows] if restricted else np.ones(len(rows), dtype=bool)
        block = LinearSystem(A[rows][:, rows].tocsr(), system.b[rows])
        parts.append((rows, rows[kept], kept, inner(block)))

    def apply(r: np.ndarray) -> np.ndarray:
        z = np.zeros_like(r)
        for rows, target, kept, M in parts:
            z[target] += M.apply(r[rows])[kept]
        return z

    return Preconditioner("Schwarz", apply, A.shape)


PAPERS: dict[str, Callable[[LinearSystem], Preconditioner]] = {
    "none": identity, "Jacobi": jacobi, "block Jacobi, ILU(0)": partial(schwarz, inner=ilu, overlap=0), "SOR": symmetric_sor,
    "ASM, ILU(0)": partial(schwarz, inner=ilu, overlap=1), "ASM, LU": partial(schwarz, inner=lu, overlap=1),
    "ICC(0)": incomplete_cholesky, "ILU(0)": ilu, "ILU, fill 10": strong_ilu,
}  # fmt: skip
"""The paper's seven; ASM and ILU in two strengths."""
SYMMETRIC = PAPERS | {
    "ASM, ILU(0)": partial(schwarz, inner=ilu, overlap=1, restricted=False),
    "ASM, LU": partial(schwarz, inner=lu, overlap=1, restricted=False),
}
del SYMMETRIC["ILU, fill 10"]  # it pivots, so it is not symmetric


# -- solvers -------------------------------------------------------------------------------------------------------------


class OutOfTimeError(Exception):
    """Carries the iterate at which a solve was ended."""


@dataclass
class Task:
    """One solve: its target, when to end it, and the counts of products with A, of M and of calls back."""

    system: LinearSystem
    M: Preconditioner
    rtol: float
    end: float
    memory: Any = None
    counts: Counter[str] = field(default_factory=Counter)

    def operators(self) -> tuple[Any, Any]:
        """A and M as SciPy wants them, counted."""

        def counted(name: str, function: Callable[[np.ndarray], np.ndarray]) -> Any:
            def apply(v: np.ndarray) -> np.ndarray:
                self.counts[name] += 1
                return function(v)

            return sla.LinearOperator(self.system.A.shape, apply, dtype=self.system.dtype)

        return counted("A", self.system.A.__matmul__), counted("M", self.M.apply)

    def watch(self, x: np.ndarray) -> None:
        """Be called back with the iterate."""
        self.counts["callback"] += 1
        if clock() > self.end:
            raise OutOfTimeError(x.copy())


Found = tuple[np.ndarray, int, Any]  # x, steps, memory


def gmres(task: Task) -> Found:
    A, M = task.operators()
    x, _ = sla.gmres(
        A, task.system.b, rtol=task.rtol, restart=40, M=M, callback=task.watch, callback_type="x"
    )
    return (
        x,
        task.counts["A"] - task.counts["callback"],
        None,
    )  # one product of a cycle is that of its residual


def cg(task: Task) -> Found:
    A, M = task.operators()
    x, _ = sla.cg(A, task.system.b, rtol=task.rtol, M=M, callback=task.watch)
    return x, task.counts["callback"], None


def pyamgs_cg(task: Task) -> Found:
    x, _ = pyamg.krylov.cg(
        task.system.A, task.system.b, tol=task.rtol, M=task.operators()[1], callback=task.watch
    )
    return x, task.counts["callback"], None


def gcrotmk(task: Task) -> Found:
    A, M = task.operators()
    space = [] if task.memory is None else task.memory
    x, _ = sla.gcrotmk(A, task.system.b, rtol=task.rtol, M=M, CU=space, discard_C=True, callback=task.watch)
    return x, task.counts["M"], space


def ours(task: Task) -> Found:
    M = None if task.M.name == "none" else task.M
    late = {"callback": lambda state: clock() > task.end}
    solution = gcro_dr(task.system, rtol=task.rtol, M=M, maxiter=100_000, recycle=task.memory, **late)
    return solution.x, solution.iterations, solution.recycle


@dataclass(frozen=True)
class Entry:
    """A solver with its preconditioner."""

    solver: str
    preconditioner: str
    make: Callable[[LinearSystem], Preconditioner]
    run: Callable[[Task], Found]
    carry: bool = False
    definite: bool = False  # for symmetric positive definite matrices only


ENTRIES = (
    *(Entry("SciPy GMRES(40)", name, make, gmres) for name, make in PAPERS.items()),
    Entry("SciPy GMRES(40)", "AMG", amg, gmres),
    *(Entry("SciPy CG", name, make, cg, definite=True) for name, make in SYMMETRIC.items()),
    Entry("PyAMG CG", "AMG", amg, pyamgs_cg, definite=True),
    Entry("SciPy gcrotmk(20, 20)", "ILU(0)", ilu, gcrotmk, carry=True),
    *(Entry("GCRO-DR(40, 20)", name, PAPERS[name], ours, carry=True) for name in ("none", "Jacobi", "ILU(0)")),
    *(Entry("GCRO-DR, nothing carried", name, PAPERS[name], ours) for name in ("none", "Jacobi", "ILU(0)")),
)  # fmt: skip
