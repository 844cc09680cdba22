"""Candidates that iterate: with a preconditioner of each matrix, or with that of an earlier one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pdeflow.linalg.bicgstab import run_bicgstab
from pdeflow.linalg.box_operator import box_of
from pdeflow.linalg.candidate import (
    Candidate,
    Step,
    Suits,
    Task,
    assembled,
    definite,
    general,
    installed,
    needs,
    real,
    regular,
    solver,
)
from pdeflow.linalg.cg import cg
from pdeflow.linalg.deflated_cg import run_deflated_cg
from pdeflow.linalg.direct import uses_cholmod
from pdeflow.linalg.fast_transforms import fast_preconditioner
from pdeflow.linalg.frozen import key_of, solve_frozen
from pdeflow.linalg.gcro_dr import run_gcro_dr
from pdeflow.linalg.gmres import fgmres
from pdeflow.linalg.iteration import Outcome
from pdeflow.linalg.preconditioners import Preconditioner, build, incomplete_cholesky
from pdeflow.linalg.recycle_space import RecycleSpace
from pdeflow.linalg.reused_factor import analyse
from pdeflow.linalg.system import LinearSystem

RESTART = 40
Loop = Callable[[Task, Any, int | None], Outcome]
Maker = Callable[[LinearSystem], Preconditioner]


def run_cg(task: Task, M: Any, maxiter: int | None = None) -> Outcome:
    """Conjugate gradients from zero, on the complement of the null space.

    Args:
        task: Symmetric positive (semi)definite system.
        M: Linear symmetric positive preconditioner.
        maxiter: Steps at most.
    """
    basis, b = task.system.null_basis(), task.system.b
    project = None if basis is None else lambda v: v - basis @ (basis.conj().T @ v)
    b = b if project is None else project(b)
    return cg(task.system.A, b, np.zeros_like(b), M, task.limits(maxiter), project)


def run_gmres(task: Task, M: Any, maxiter: int | None = None) -> Outcome:
    """Flexible GMRES(40) from zero.

    Args:
        task: Any system.
        M: Preconditioner.
        maxiter: Steps at most.
    """
    b = task.system.b
    return fgmres(task.system.A, b, np.zeros_like(b), M, task.limits(maxiter), RESTART)


def bicgstab(task: Task, M: Any, maxiter: int | None = None) -> Outcome:
    """BiCGStab from zero.

    Args:
        task: Any system.
        M: Preconditioner.
        maxiter: Steps at most.
    """
    b = task.system.b
    return run_bicgstab(task.system.A, b, np.zeros_like(b), M, task.limits(maxiter))


def preconditioned(
    name: str, method: str, loop: Loop, make: Maker, suits: Suits, least: Callable[[int], float] | None = None
) -> Candidate:
    """Make a candidate that builds a preconditioner for each matrix.

    Args:
        name: What a table calls it.
        method: Krylov method.
        loop: Runs it.
        make: Builds the preconditioner.
        suits: Whom it suits.
        least: Seconds at least, as a function of n.
    """

    def step(task: Task) -> Step:
        M = make(task.system)
        setup = task.elapsed()
        outcome = loop(task, M, None)
        return Step(outcome.x, None, outcome, setup, M.name)

    return Candidate(name, suits, solver(method, step), stoppable=True, least=least)


def frozen(
    name: str, method: str, loop: Loop, make: Maker, suits: Suits, exact: bool, factors: str = "",
) -> Candidate:  # fmt: skip
    """Make a candidate that keeps the preconditioner of an earlier matrix until the iterations grow.

    Args:
        name: What a table calls it.
        method: Krylov method.
        loop: Runs it.
        make: Builds the preconditioner.
        suits: Whom it suits.
        exact: Whether the preconditioner inverts its own matrix.
        factors: "cholesky" or "lu" where it is a factorization.
    """

    def step(task: Task) -> Step:
        """Set the preconditioner up and run the loop."""
        system = task.system
        spent = 0.0

        def timed() -> Preconditioner:
            nonlocal spent
            began = task.elapsed()
            M = make(system)
            spent = task.elapsed() - began
            return M

        def iterate(M: Any, most: int | None) -> Outcome:
            return loop(task, M, most)

        outcome, state = solve_frozen(task.state, key_of(system.n, system.dtype), timed, iterate, exact)
        return Step(outcome.x, state, outcome, spent, f"frozen {state.M.name}")

    return Candidate(name, suits, solver(method, step), carries=True, factors=factors, stoppable=True)


def recycled(
    name: str, method: str, run: Callable[..., Outcome], make: Maker, suits: Suits, least: Callable[[int], float] | None = None
) -> Candidate:  # fmt: skip
    """Make a candidate that carries a space of vectors from system to system, m = 40 and k = 20.

    Args:
        name: What a table calls it.
        method: Krylov method.
        run: Its loop, a function of (A, b, x0, M, limits, recycle=, layout=).
        make: Builds the preconditioner of each matrix.
        suits: Whom it suits.
        least: Seconds at least, as a function of n.
    """

    def step(task: Task) -> Step:
        system, space = task.system, task.state
        if (
            not isinstance(space, RecycleSpace)
            or space.unfit(system.n, system.dtype, system.layout) is not None
        ):
            space = None
        M = make(system)
        setup, zero = task.elapsed(), np.zeros_like(system.b)
        outcome = run(system.A, system.b, zero, M, task.limits(), recycle=space, layout=system.layout)
        return Step(outcome.x, outcome.recycle, outcome, setup, M.name)

    return Candidate(name, suits, solver(method, step), carries=True, stoppable=True, least=least)


def factor(system: LinearSystem) -> Preconditioner:
    """Invert the matrix by its factorization, as the preconditioner of later ones.

    Args:
        system: Regular assembled system.
    """
    name = "CHOLMOD" if uses_cholmod(system) else "SuperLU, symmetric mode"
    back = analyse(system.A, name).factor(system.A.data)
    spd = bool(system.symmetric and system.positive_definite)
    return Preconditioner(name, back, system.A.shape, symmetric=spd, positive=spd or None)


def fast(system: LinearSystem) -> Preconditioner:
    """Precondition by the fast solver of the mean coefficients.

    Args:
        system: Stencil on a box.

    Raises:
        ArithmeticError: If the matrix is none.
    """
    shape = box_of(system)
    M = "the unknowns do not form a box" if shape is None else fast_preconditioner(system.A, shape)
    if isinstance(M, str):
        raise ArithmeticError(f"no fast preconditioner: {M}")
    return M


def on_a_box(system: LinearSystem) -> str | None:
    """Refuse matrices that are not a stencil on a box."""
    try:
        fast(system)
    except ArithmeticError as error:
        return str(error).partition(": ")[2]
    return None


def named(spec: str) -> Maker:
    """Make a builder of a preconditioner of preconditioners.NAMES.

    Args:
        spec: Its name.
    """
    return lambda system: build(spec, system)


def amg_seconds(n: int) -> float:
    """Seconds that the set-up of algebraic multigrid takes at least; half of what choice.py expects."""
    return 0.005 + 2e-6 * n


def ilu_seconds(n: int) -> float:
    """Seconds that an incomplete LU factorization takes at least; five-point grids take that, 3-D ones ten times more."""
    return 1.5e-6 * n


SPD = needs(assembled, definite)
CONJUGATE_GRADIENTS = (
    preconditioned("CG + fast transform", "cg", run_cg, fast, needs(SPD, real, on_a_box)),
    preconditioned("CG + Jacobi", "cg", run_cg, named("jacobi"), SPD),
    preconditioned("CG + incomplete Cholesky", "cg", run_cg, incomplete_cholesky, needs(SPD, real, installed("ilupp"))),
    preconditioned("CG + AMG (Ruge-Stüben)", "cg", run_cg, named("amg:rs"), needs(SPD, real, installed("pyamg")), amg_seconds),
    preconditioned("CG + AMG (smoothed aggregation)", "cg", run_cg, named("amg:sa"), needs(SPD, installed("pyamg")), amg_seconds),
    frozen("CG + frozen factor", "cg", run_cg, factor, needs(SPD, regular), exact=True, factors="cholesky"),
    frozen("CG + frozen AMG", "cg", run_cg, named("amg"), needs(SPD, installed("pyamg")), exact=False),
)  # fmt: skip
NONSYMMETRIC = needs(assembled, general, regular)
GENERAL = (
    preconditioned("BiCGStab + Jacobi", "bicgstab", bicgstab, named("jacobi"), NONSYMMETRIC),
    frozen("BiCGStab + frozen factor", "bicgstab", bicgstab, factor, NONSYMMETRIC, exact=True, factors="lu"),
    frozen("GMRES + frozen factor", "fgmres", run_gmres, factor, NONSYMMETRIC, exact=True, factors="lu"),
    frozen("BiCGStab + frozen ILU", "bicgstab", bicgstab, named("ilu"), NONSYMMETRIC, exact=False),
    preconditioned("GMRES + ILU", "fgmres", run_gmres, named("ilu"), NONSYMMETRIC, ilu_seconds),
)  # fmt: skip
RECYCLED = (
    recycled("def-CG + Jacobi", "def_cg", run_deflated_cg, named("jacobi"), needs(SPD, regular)),
    recycled("GCRO-DR + Jacobi", "gcro_dr", run_gcro_dr, named("jacobi"), needs(assembled, regular)),
    recycled("GCRO-DR + ILU", "gcro_dr", run_gcro_dr, named("ilu"), needs(assembled, regular), ilu_seconds),
)
