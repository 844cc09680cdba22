"""Fast direct solvers on a box: sine, cosine and Fourier transforms diagonalise constant coefficients.

Swarztrauber, SIAM Rev. 19 (1977) 490, and Strang, SIAM Rev. 41 (1999) 135 (which transform belongs to which boundary); axes
that none fits use a dense eigenvector basis (Lynch, Rice and Thomas, Numer. Math. 6, 1964). As preconditioner of variable
coefficients, scaled on both sides: Concus and Golub, SIAM J. Numer. Anal. 10 (1973) 1103.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
import scipy.linalg as la

from pdeflow.linalg.box_operator import NO_STENCIL, Axis, BoxOperator, axis_bands
from pdeflow.linalg.preconditioners import Preconditioner

ZERO = 1e-13
"""Eigenvalues below this share of the largest count as zero; their component of b is dropped."""
SINES = {
    (0, 0): (scipy.fft.dst, scipy.fft.idst, 1, lambda j, n: (j + 1) / (n + 1)),
    (1, 1): (scipy.fft.dst, scipy.fft.idst, 2, lambda j, n: (j + 1) / n),
    (-1, -1): (scipy.fft.dct, scipy.fft.idct, 2, lambda j, n: j / n),
    (1, -1): (scipy.fft.dst, scipy.fft.idst, 4, lambda j, n: (j + 0.5) / n),
    (-1, 1): (scipy.fft.dct, scipy.fft.idct, 4, lambda j, n: (j + 0.5) / n),
}
"""Transforms by what the two ends add to the second difference [-1, 2, -1]: 0 a wall one node away, 1 a wall half a cell
away with u = 0, -1 with zero flux; with the angles of the eigenvalues 2 - 2 cos(π angle)."""

Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Basis:
    """Eigenvectors of one axis.

    Attributes:
        name: "DST-II", "FFT", "dense", …
        forward: Transform along this axis.
        backward: Its inverse.
        eigenvalues: Shape (n,).
    """

    name: str
    forward: Transform
    backward: Transform
    eigenvalues: np.ndarray


@dataclass(frozen=True, eq=False)
class FastSolver:
    """A⁻¹ b by transforms along the axes, O(n log n).

    Attributes:
        operator: What is inverted.
        bases: One for each axis.
        inverse: 1 / eigenvalues, shape (*shape,); zero where an eigenvalue is.
        real: Whether a real b has a real solution.
    """

    operator: BoxOperator
    bases: tuple[Basis, ...]
    inverse: np.ndarray
    real: bool

    @property
    def name(self) -> str:
        """Names of the transforms, for example "DST-II x FFT"."""
        return " x ".join(basis.name for basis in self.bases)

    def solve(self, b: np.ndarray) -> np.ndarray:
        """Solve for one right-hand side, shape (n,); of singular operators the solution without null component."""
        op = self.operator
        v = (b if op.coupled is None else b[op.coupled]).reshape(op.shape)
        v = v if op.scale is None else v / op.scale
        for basis in self.bases:
            v = basis.forward(v)
        v = v * self.inverse
        for basis in reversed(self.bases):
            v = basis.backward(v)
        v = v.real if self.real and np.isrealobj(b) else v
        v = v if op.scale is None else v / op.scale
        if op.coupled is None or op.isolated is None:
            return v.reshape(-1)
        x = np.zeros(len(b), dtype=v.dtype)
        alone = np.ones(len(b), dtype=bool)
        alone[op.coupled] = False
        x[op.coupled], x[alone] = v.reshape(-1), b[alone] / op.isolated[alone]
        return x


def fast_solver(operator: BoxOperator) -> FastSolver | str:
    """Diagonalise an operator.

    Args:
        operator: Kronecker sum, as `box_operator` finds it.

    Returns:
        The solver, or a sentence that says which axis cannot be diagonalised.
    """
    ndim = len(operator.shape)
    bases, total = [], np.zeros((1,) * ndim)
    for k, axis in enumerate(operator.axes):
        basis = axis_basis(axis, k, ndim)
        if isinstance(basis, str):
            return basis
        bases.append(basis)
        total = total + basis.eigenvalues.reshape([-1 if j == k else 1 for j in range(ndim)])
    size = float(np.abs(total).max())
    small = np.abs(total) <= ZERO * size
    inverse = np.where(small, 0.0, 1 / np.where(small, 1.0, total))
    real = all(np.isrealobj(part) for axis in operator.axes for part in (axis.main, axis.upper, axis.lower))
    return FastSolver(operator, tuple(bases), inverse, real)


def axis_basis(axis: Axis, k: int, ndim: int) -> Basis | str:
    """Find the transform that diagonalises the matrix of one axis.

    Args:
        axis: Its tridiagonal or circulant matrix T.
        k: Number of the axis.
        ndim: Number of axes.

    Returns:
        The basis, or a sentence that says why there is none.
    """
    n = len(axis.main)
    if n == 1:
        return Basis("point", np.asarray, np.asarray, axis.main)
    c = -axis.upper[(n - 2) // 2] if len(axis.upper) else 0.0
    if axis.periodic:
        return _circulant(axis, k)
    if not np.allclose(axis.upper, axis.lower, rtol=1e-11, atol=0):
        return f"axis {k} is neither symmetric nor periodic"
    shift = axis.main[n // 2] - 2 * c  # of an interior row; two cells have none
    if n > 2 and c != 0 and np.allclose(axis.upper, -c, rtol=1e-11, atol=0):
        excess = (axis.main - shift) / c - 2
        if np.abs(excess[1:-1]).max() <= 1e-10 and np.abs(excess - np.round(excess.real)).max() <= 1e-10:
            first, last = (int(e) for e in np.round(excess[[0, -1]].real))
            known = SINES.get((first, last))
            if known is not None:
                forward, backward, kind, angle = known
                values = shift + c * (2 - 2 * np.cos(np.pi * angle(np.arange(n), n)))
                name = f"{forward.__name__.upper()}-{'I' * kind if kind < 3 else 'IV'}"
                options: dict[str, Any] = {"type": kind, "axis": k, "norm": "ortho"}
                return Basis(name, lambda v: forward(v, **options), lambda v: backward(v, **options), values)
    return _dense(axis, k, c)


def _circulant(axis: Axis, k: int) -> Basis | str:
    """Fourier basis of a periodic axis with constant rows."""
    rows = (axis.main, axis.upper, axis.lower)
    if not all(np.allclose(row, row[0], rtol=1e-11, atol=1e-11 * abs(axis.main[0])) for row in rows):
        return f"axis {k} is periodic with varying coefficients"
    angle = 2 * np.pi * np.arange(len(axis.main)) / len(axis.main)
    values = axis.main[0] + axis.upper[0] * np.exp(1j * angle) + axis.lower[0] * np.exp(-1j * angle)
    if np.isrealobj(axis.upper) and axis.upper[0] == axis.lower[0]:
        values = axis.main[0] + 2 * axis.upper[0] * np.cos(angle)
    return Basis("FFT", lambda v: scipy.fft.fft(v, axis=k), lambda v: scipy.fft.ifft(v, axis=k), values)


def _dense(axis: Axis, k: int, c: complex) -> Basis | str:
    """Eigenvectors of a symmetric tridiagonal matrix, real up to a common complex factor and a shift."""
    n = len(axis.main)
    c = c or 1.0
    shift = axis.main[n // 2]
    main, off = (axis.main - shift) / c, axis.upper / c
    size = max(float(np.abs(main).max()), float(np.abs(off).max()), 1e-300)
    if max(float(np.abs(np.imag(main)).max()), float(np.abs(np.imag(off)).max())) > 1e-12 * size:
        return f"axis {k} has complex coefficients that vary"
    values, Q = la.eigh_tridiagonal(np.real(main), np.real(off))

    def multiply(matrix: np.ndarray) -> Transform:
        return lambda v: np.moveaxis(np.tensordot(matrix, v, axes=(1, k)), 0, k)

    return Basis("dense", multiply(np.ascontiguousarray(Q.T)), multiply(Q), shift + c * values)


def averaged_operator(A: Any, shape: tuple[int, ...]) -> BoxOperator | str:
    """Replace variable coefficients on a box by their means: the operator that preconditions.

    Args:
        A: CSR matrix, symmetric, a (2d+1)-point stencil with positive diagonal.
        shape: Unknowns per axis.

    Returns:
        Operator with one coefficient per axis and the boundary conditions of A, or why there is none.
    """
    if np.diff(A.indptr).min() == 1:
        return "some unknowns are coupled to nothing"
    bands = [axis_bands(A, shape, k) for k in range(len(shape))]
    stored = A.shape[0] + sum(np.count_nonzero(band) for pair in bands for band in pair)
    if stored != np.count_nonzero(A.data):
        return NO_STENCIL
    sums = np.asarray(A.sum(axis=1)).reshape(shape)  # conductance of the walls, and the reaction
    reaction = float(np.median(sums[tuple(slice(1, -1) if n > 2 else slice(None) for n in shape)]))
    reaction = max(reaction, 0.0) if all(n > 2 for n in shape) else 0.0
    axes = []
    for k, n in enumerate(shape):
        c = -float(bands[k][0].sum()) / max(int(np.count_nonzero(bands[k][0])), 1)
        seam = bool(n > 2 and np.any(np.take(bands[k][0], -1, axis=k)))
        main = np.full(n, 2 * c) if n > 1 else np.zeros(1)
        for end in (0, -1) if not seam else ():
            # the median, for rows at corners count two walls
            wall = max(float(np.median(np.take(sums, end, axis=k))) - reaction, 0.0)
            ratio = wall / c if c > 0 else 0.0
            main[end] += c * (round(min(ratio, 2.0)) - 1) if n > 1 else wall
        off = np.full(n if seam else n - 1, -c)
        axes.append(Axis(main + (reaction if k == 0 else 0.0), off, off, seam))
    return BoxOperator(shape, tuple(axes))


def fast_preconditioner(A: Any, shape: tuple[int, ...]) -> Preconditioner | str:
    """Precondition variable coefficients by the fast solver of their means, M = S L⁻¹ S with S² = diag(L) / diag(A).

    Args:
        A: CSR matrix, symmetric positive (semi)definite, a (2d+1)-point stencil on the box.
        shape: Unknowns per axis.

    Returns:
        Symmetric positive preconditioner, or why there is none.
    """
    operator = averaged_operator(A, shape)
    if isinstance(operator, str):
        return operator
    solver = fast_solver(operator)
    if isinstance(solver, str):
        return solver
    diagonal: Any = sum(
        axis.main.reshape([-1 if j == k else 1 for j in range(len(shape))])
        for k, axis in enumerate(operator.axes)
    )
    ratio = np.broadcast_to(diagonal, shape).reshape(-1) / A.diagonal().real
    if not np.all(ratio > 0):
        return "the diagonal is not positive"
    scale = np.sqrt(ratio)
    name = "DCT/DST/FFT" if len({basis.name for basis in solver.bases}) > 1 else solver.bases[0].name
    return Preconditioner(name, lambda r: scale * solver.solve(scale * r), A.shape)
