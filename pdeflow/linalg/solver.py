"""One matrix, many right-hand sides: what is set up for the first solve serves all others.

Set-up is kept and counted apart from solving, as PETSc's KSPSetUp does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse.linalg as sla

from pdeflow.linalg.preconditioners import build
from pdeflow.linalg.solution import Solution
from pdeflow.linalg.solve import SetUp, solve
from pdeflow.linalg.system import LinearSystem, as_vector, described, linear_system


class Solver:
    """Solve A x = b for one matrix and many right-hand sides; factorization, multigrid or network are set up once.

    Args:
        A: LinearSystem, or square matrix: sparse, dense or LinearOperator, shape (n, n).
        method: As in solve.
        preconditioner: As in solve.
        nullspace: As in solve.
        options: Further options of solve for every right-hand side: rtol, atol, maxiter, guard, timeout, restart.

    Raises:
        UsageError: If A is no system.
    """

    def __init__(
        self, A: Any, *, method: str = "auto", preconditioner: Any = "auto", nullspace: Any = None, **options: Any
    ) -> None:
        self.system = described(A, None, nullspace) if isinstance(A, LinearSystem) else linear_system(A, None, nullspace)
        self.method, self.preconditioner, self.options = method, preconditioner, options
        self._set_up: SetUp = {}

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.system.A.shape

    def solve(self, b: Any, x0: Any = None, **options: Any) -> Solution:
        """Solve for one right-hand side.

        Args:
            b: Right-hand side, shape (n,).
            x0: Initial guess, shape (n,).
            options: Options of solve for this one alone.

        Returns:
            The solution, verified; its seconds of set-up are nearly zero but for the first time.

        Raises:
            UsageError: As solve.
        """
        system = replace(self.system, b=as_vector(b, self.system.n, "b"))
        return solve(
            system, method=self.method, preconditioner=self.preconditioner, x0=x0, set_up=self._set_up, **self.options | options
        )

    def aspreconditioner(self) -> sla.LinearOperator:
        """Return the preconditioner M ≈ A⁻¹ for SciPy's and PyAMG's solvers, shape (n, n).

        Raises:
            UsageError: If it is to be chosen, or cannot be made for this matrix.
        """
        M = build("amg" if self.preconditioner == "auto" else self.preconditioner, self.system)
        dtype = np.result_type(self.system.A.dtype, np.float64)
        return sla.LinearOperator(self.shape, matvec=lambda r: M @ np.ravel(r), dtype=dtype)
