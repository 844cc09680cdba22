"""The Krylov loops behind one call: which function a method's name means, and what it is given."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from pdeflow.linalg.bicgstab import run_bicgstab
from pdeflow.linalg.cg import cg, flexible_cg
from pdeflow.linalg.deflated_cg import run_deflated_cg
from pdeflow.linalg.gcro_dr import run_gcro_dr
from pdeflow.linalg.gmres import fgmres
from pdeflow.linalg.iteration import Limits, Outcome
from pdeflow.linalg.minres import minres
from pdeflow.linalg.preconditioners import Preconditioner
from pdeflow.linalg.recycle_space import RecycleSpace

RECYCLING = ("gcro_dr", "def_cg")
GMRES_RESTART, GCRO_DR_RESTART = 30, 40
Projection = Callable[[np.ndarray], np.ndarray]


def bring(method: str) -> None:
    """Import what no other method needs, torch for dcdm, so that the clock of the first solve does not.

    Args:
        method: As in run_krylov.
    """
    if method == "dcdm":
        import_module("pdeflow.linalg.deep_conjugate_directions")


def run_krylov(
    method: str, A: Any, b: np.ndarray, x0: np.ndarray, M: Preconditioner, limits: Limits, project: Projection | None,
    restart: int | None, recycle: RecycleSpace | None, layout: str, classical: Preconditioner | None = None,
) -> Outcome:  # fmt: skip
    """Run one method.

    Args:
        method: cg, fcg, dcdm, minres, bicgstab, def_cg, gcro_dr or fgmres.
        A: Matrix or operator, double precision.
        b: Right-hand side, shape (n,).
        x0: Initial guess.
        M: Preconditioner that the method may use.
        limits: Stopping rule.
        project: Orthogonal projection onto the complement of the null space, or None.
        restart: Directions of a cycle of fgmres or gcro_dr, half of which the latter carries over; None for the default.
        recycle: What a recycling method may start from.
        layout: Name of the ordering of the unknowns.
        classical: Second source of directions for dcdm, over which it minimises too (guard "multi"), or None.

    Returns:
        The outcome, not yet verified.
    """
    operator = None if M.name == "none" else M
    if method == "cg":
        return cg(A, b, x0, operator, limits, project)
    if method == "fcg":
        return flexible_cg(A, b, x0, M, limits, 2 if M.linear else 10, project)
    if method == "dcdm":  # imported here, see bring
        from pdeflow.linalg.deep_conjugate_directions import run_dcdm

        return run_dcdm(A, b, x0, M, limits, 2 if M.linear else 10, project, classical)
    if method == "minres":
        return minres(A, b, x0, operator, limits)
    if method == "bicgstab":
        return run_bicgstab(A, b, x0, operator, limits)
    if method == "def_cg":
        deflating = operator if project is None else _Projected(M, project)
        return run_deflated_cg(A, b, x0, deflating, limits, recycle=recycle, layout=layout)
    if method == "gcro_dr":
        m = restart or GCRO_DR_RESTART
        return run_gcro_dr(A, b, x0, operator, limits, m, m // 2, recycle, layout=layout)
    return fgmres(A, b, x0, operator, limits, min(restart or GMRES_RESTART, len(b), limits.maxiter))


class _Projected:
    """r -> P M r."""

    def __init__(self, M: Preconditioner, project: Projection) -> None:
        self.M, self.project = M, project

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        return self.project(self.M @ r)
