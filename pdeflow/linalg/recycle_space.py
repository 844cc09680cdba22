"""What one solve hands to the next: a few vectors that span the slow part of the solution, and their images.

Parks, de Sturler, Mackey, Johnson and Maiti, SIAM J. Sci. Comput. 28 (2006), for a pair U, C with A U = C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.linalg as la

from pdeflow.errors import UsageError

SAME = 1e-9
"""Relative difference of A U c and C c, for the c that a right-hand side asks for, below which C is taken to be A U still."""
SOLUTIONS, WORTH = 20, 10.0
"""Solutions that are remembered, and factor by which they must shrink the first residual to be used: they lengthen each step."""
NEW = 1e-6
"""Share of the image of a solution that the others lack, below which rounding would make it inexact."""
Space = Literal["x", "y"]


@dataclass(frozen=True, eq=False)
class RecycleSpace:
    """Vectors carried from one system to the next.

    Args:
        U: Vectors, shape (n, k): corrections of x in the space "x", of M⁻¹ x in the space "y".
        C: A U with orthonormal columns, for the matrix that made it, shape (n, k); None where it is not known.
        layout: Name of the ordering of the unknowns, "" if unknown.
        space: Where U lives; "y" needs k applications of the next preconditioner, "x" none.
        past: (A X, X) for corrections X of x made by whole solves with this matrix, oldest first, shape (n, at most 20) each,
            or None. The images have unit length.
        settled: How many of them, the first ones, have images orthogonal to each other and to C.
    """

    U: np.ndarray
    C: np.ndarray | None = None
    layout: str = ""
    space: Space = "x"
    past: tuple[np.ndarray, np.ndarray] | None = None
    settled: int = 0

    @property
    def solutions(self) -> int:
        """Number of solutions that are remembered."""
        return 0 if self.past is None else self.past[0].shape[1]

    def approximation(
        self, A: Any, b: np.ndarray, x: np.ndarray, r: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Correct x within the vectors and the settled solutions, without copying them, if C is A U for this A too.

        The residual that C promises is compared with the true one, so that the test costs one product and no pass of its own.

        Args:
            A: Matrix of the system to solve.
            b: Its right-hand side, shape (n,).
            x: Initial guess.
            r: Its residual.

        Returns:
            The corrected x and its true residual; None where A has changed or C is not known.
        """
        if self.C is None or self.space != "x" or self.C.shape[1] == 0:
            return None
        guess, promised = x.copy(), r.copy()
        pairs = [(self.C, self.U)]
        if self.past is not None and self.settled:
            pairs.append((self.past[0][:, : self.settled], self.past[1][:, : self.settled]))
        for C, U in pairs:
            c = C.conj().T @ promised
            guess += U @ c
            promised -= C @ c
        true = b - A @ guess
        return (guess, true) if la.norm(true - promised) <= SAME * la.norm(r - promised) else None

    def helps(self, r: np.ndarray) -> bool:
        """Whether the solutions alone reduce a residual enough to be used.

        Args:
            r: Residual, shape (n,).
        """
        if self.past is None:
            return False
        gram, products = self.past[0].conj().T @ self.past[0], self.past[0].conj().T @ r
        share = np.vdot(products, np.linalg.lstsq(gram, products, rcond=1e-12)[0]).real
        return bool(np.vdot(r, r).real - share <= np.vdot(r, r).real / WORTH**2)

    def unfit(self, n: int, dtype: Any, layout: str = "", space: Space = "x") -> str | None:
        """Return why the vectors cannot serve a system, or None.

        Args:
            n: Its number of unknowns.
            dtype: Its type.
            layout: Its ordering of the unknowns.
            space: Where the method that wants to use them keeps its vectors.
        """
        if self.U.shape[0] != n:
            return f"it has {self.U.shape[0]} unknowns, the system {n}"
        if self.layout and layout and self.layout != layout:
            return f"A and U have different layouts ({layout} and {self.layout})"
        if np.iscomplexobj(self.U) and not np.issubdtype(dtype, np.complexfloating):
            return "it is complex, the system real"
        return f"it lives in the space {self.space!r}, not {space!r}" if self.space != space else None


def checked(recycle: Any, n: int, dtype: Any, layout: str, space: Space = "x") -> RecycleSpace | None:
    """Return the space if it fits the system.

    Args:
        recycle: A RecycleSpace, or None.
        n: Unknowns of the system.
        dtype: Its type.
        layout: Its ordering of the unknowns.
        space: Where the method keeps its vectors.

    Raises:
        UsageError: If it is something else, or does not fit.
    """
    if recycle is None:
        return None
    if not isinstance(recycle, RecycleSpace):
        raise UsageError(
            f"recycle is a {type(recycle).__name__}; pass the recycle of an earlier Solution, or None"
        )
    reason = recycle.unfit(n, dtype, layout, space)
    if reason is not None:
        raise UsageError(f"the recycle space does not fit: {reason}; pass recycle=None to start afresh")
    return recycle


def columns_through(operator: Any, X: np.ndarray) -> np.ndarray:
    """Apply a preconditioner to each column, for it takes one vector; column-major, shape of X.

    Args:
        operator: Anything with `operator @ vector`, or None for the identity.
        X: Vectors, shape (n, k).
    """
    if operator is None or X.shape[1] == 0:
        return np.array(X, order="F")
    return np.asfortranarray(np.stack([operator @ x for x in X.T], axis=1))
