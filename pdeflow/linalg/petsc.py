"""PETSc's preconditioners through petsc4py, where that is installed: multigrid (gamg, hypre), incomplete factors (icc, ilu), others.

Balay et al., PETSc/TAO Users Manual, ANL-21/39, chapter "KSP: linear system solvers" (preconditioners). What PETSC_OPTIONS says
holds, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from pdeflow.errors import UsageError
from pdeflow.linalg.system import LinearSystem

PREFIX = "petsc:"
"""What the names of these preconditioners begin with; the rest is PETSc's name of the type."""


class PetscPreconditioner:
    """One application of a PETSc preconditioner, M @ r.

    Args:
        system: System with an assembled matrix.
        kind: PETSc's type, such as "gamg", "hypre", "icc" or "ilu".

    Attributes:
        shape: (n, n).

    Raises:
        UsageError: If petsc4py is missing, the matrix is not assembled, PETSc was built for other numbers or without the type, or
            the set-up fails.
    """

    def __init__(self, system: LinearSystem, kind: str) -> None:
        PETSc, name = _petsc(), f"{PREFIX}{kind}"
        if not system.assembled:
            raise UsageError(f"{name} needs the entries of A, but A is an operator; use preconditioner='none', or assemble A")
        if np.iscomplexobj(system.A) and not np.issubdtype(PETSc.ScalarType, np.complexfloating):
            raise UsageError(f"{name}: this PETSc was built for real numbers, the matrix is {system.A.dtype}; use ilu or amg")
        A = sp.csr_matrix(system.A).sorted_indices()
        self.shape: tuple[int, int] = A.shape
        pointers = (A.indptr.astype(PETSc.IntType), A.indices.astype(PETSc.IntType), A.data.astype(PETSc.ScalarType))
        matrix = PETSc.Mat().createAIJ(A.shape, csr=pointers, comm=PETSc.COMM_SELF)
        matrix.setOption(PETSc.Mat.Option.SPD, bool(system.symmetric and system.positive_definite))
        self._pc: Any = PETSc.PC().create(PETSc.COMM_SELF)
        try:
            self._pc.setOperators(matrix)
            self._pc.setType(kind)
            self._pc.setFromOptions()
            self._pc.setUp()
        except PETSc.Error as error:
            raise UsageError(f"{name}: PETSc refused it ({' '.join(str(error).split())}); try petsc:gamg or petsc:icc") from error
        self._r, self._z = matrix.createVecs()

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        self._r.setArray(r)
        self._pc.apply(self._r, self._z)
        return self._z.getArray().astype(np.result_type(r), copy=True)


def _petsc() -> Any:
    try:
        from petsc4py import PETSc
    except ImportError as error:
        raise UsageError("petsc:… needs the package petsc4py; install it with your PETSc, or use amg, ic or ilu") from error
    return PETSc
