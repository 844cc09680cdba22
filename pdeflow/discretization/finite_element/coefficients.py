"""Coefficients at quadrature points: constants, functions of points and values per cell become arrays (m, q, …).

Brenner and Scott, The Mathematical Theory of Finite Element Methods, 3rd ed. (2008), section 8.1 (numerical quadrature).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from pdeflow.errors import UsageError

Coefficient = float | complex | Sequence[float] | Tensor | np.ndarray | Callable[[Tensor], Tensor]
"""A constant (a sequence for a vector), a function of points (n, d), or an array with one value per cell (m,) or per quadrature point (m, q)."""


def values_at_points(
    value: Coefficient, points: Tensor, shapes: Sequence[tuple[int, ...]], name: str
) -> Tensor:
    """Evaluate a coefficient at points, keeping derivatives with respect to its parameters.

    Args:
        value: The coefficient; its trailing shape must be one of shapes.
        points: Points, shape (m, q, d).
        shapes: Admissible shapes of one value, for instance () and (d, d).
        name: Name used in messages.

    Returns:
        Values, shape (m, q, *shape), (m, 1, *shape) or (1, 1, *shape).

    Raises:
        UsageError: If the shape does not fit or a value is not finite.
    """
    m, q, dim = points.shape
    if callable(value):
        found = value(points.reshape(-1, dim))
        wanted = [(m * q, *shape) for shape in shapes]
        if not isinstance(found, Tensor) or tuple(found.shape) not in wanted:
            came = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UsageError(
                f"{name} must return a tensor {_either(wanted)} for points ({m * q}, {dim}), got {came}"
            )
        values = found.reshape(m, q, *found.shape[1:])
    else:
        values = _spread(
            torch.as_tensor(value if isinstance(value, Tensor) else np.asarray(value)), (m, q), shapes, name
        )
    values = values if values.is_complex() else values.double()
    if not _finite(values):
        raise UsageError(f"{name} is not finite at some points of the mesh")
    return values


def at_points(value: Coefficient, points: Tensor, shapes: Sequence[tuple[int, ...]], name: str) -> np.ndarray:
    """Evaluate a coefficient at points as a NumPy array; see values_at_points.

    Raises:
        UsageError: As values_at_points.
    """
    return values_at_points(value, points, shapes, name).detach().resolve_conj().numpy()


def _finite(values: Tensor) -> bool:
    """Whether all values are finite; the sum decides unless it overflows itself, at a tenth of the cost."""
    return bool(torch.isfinite(values.detach().sum())) or bool(torch.isfinite(values.detach()).all())


def _spread(value: Tensor, cells: tuple[int, int], shapes: Sequence[tuple[int, ...]], name: str) -> Tensor:
    """Give an array the axes (m, q, *shape), of length one where it is constant."""
    for shape in shapes:
        if tuple(value.shape) == shape:
            return value[None, None]
        if tuple(value.shape) == (cells[0], *shape):
            return value[:, None]
        forms = [(m, q) for m in (1, cells[0]) for q in (1, cells[1])]
        if value.shape[2:] == shape and tuple(value.shape[:2]) in forms and value.ndim >= 2:
            return value
    wanted = [form for shape in shapes for form in (shape, (cells[0], *shape), (*cells, *shape))]
    raise UsageError(
        f"{name} has shape {tuple(value.shape)}, expected {_either(wanted)}: a constant, one value per cell or per "
        "quadrature point; interpolate nodal values to quadrature points with space.at_quadrature"
    )


def _either(shapes: Sequence[tuple[int, ...]]) -> str:
    return " or ".join(str(tuple(shape)) for shape in shapes)


def check_positive(a: np.ndarray, name: str) -> None:
    """Refuse a diffusion coefficient that is not positive (its real part, or the eigenvalues of its symmetric tensor).

    Args:
        a: Values, shape (m, q) or (m, q, d, d).
        name: Name used in the message.

    Raises:
        UsageError: If a is not positive, or the tensor is not symmetric.
    """
    real = a.real if np.iscomplexobj(a) else a
    if a.ndim == 4:
        if not np.allclose(a, a.swapaxes(2, 3), rtol=1e-12, atol=0):
            raise UsageError(f"the tensor {name} must be symmetric; put the skew part into the velocity")
        real = np.linalg.eigvalsh(real)
    if not real.min() > 0:
        raise UsageError(f"{name} must be positive everywhere, its smallest value is {float(real.min()):.3g}")
