"""Boundary conditions of a uniform grid: which side carries which, where it is evaluated, and all as one Robin form.

LeVeque, Finite Difference Methods for Ordinary and Partial Differential Equations (2007), section 2.12.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pdeflow.discretization.boundary import Condition, Dirichlet, Neumann, Periodic, Robin, values_at
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid


@dataclass(frozen=True)
class Side:
    """One side of a box with what holds on it.

    Attributes:
        axis: Axis k that the side is normal to.
        upper: Whether it is the upper of the two.
        condition: Dirichlet, Neumann or Robin.
    """

    axis: int
    upper: bool
    condition: Dirichlet | Neumann | Robin

    def slab(self, ndim: int) -> tuple[slice, ...]:
        """Return the index of the last layer of values before the side, keeping all axes.

        Args:
            ndim: Number of axes d.
        """
        layer = slice(-1, None) if self.upper else slice(0, 1)
        return (slice(None),) * self.axis + (layer,) + (slice(None),) * (ndim - self.axis - 1)

    def robin(self, grid: Grid) -> tuple[float, np.ndarray, np.ndarray]:
        """Write the condition as p a ∂u/∂n + r u = value.

        Args:
            grid: Grid on whose face centres (cells) or wall nodes the data are evaluated.

        Returns:
            p (0 for Dirichlet, else 1), r and value in the shape of `slab`, real or complex.

        Raises:
            UsageError: If a function returns another shape, or a value is not finite.

        Reference: LeVeque (2007), section 2.12.
        """
        shape = tuple(1 if k == self.axis else n for k, n in enumerate(grid.shape))
        x, condition = side_points(grid, self.axis, self.upper), self.condition
        of = f"of {type(condition).__name__} on 'x{self.axis}{'-+'[self.upper]}'"
        value = values_at(condition.value, x, f"the value {of}").detach().numpy().reshape(shape)
        if isinstance(condition, Robin):
            factor = values_at(condition.coefficient, x, f"the coefficient {of}")
            return 1.0, factor.detach().numpy().reshape(shape), value
        fixed = isinstance(condition, Dirichlet)
        return float(not fixed), np.full(shape, float(fixed)), value


def grid_sides(grid: Grid, boundary: Mapping[str, Condition]) -> list[Side]:
    """Match conditions with the sides "x0-", "x0+", "x1-", … of a grid.

    Args:
        grid: Grid; its periodic axes need no condition, or `Periodic` on both sides.
        boundary: Condition of each side by tag.

    Returns:
        Sides of the axes that are not periodic, in the order of the tags.

    Raises:
        UsageError: If a tag is unknown, a side has no condition, or a condition contradicts the grid's periodic axes.
    """
    tags = [f"x{k}{sign}" for k in range(grid.ndim) for sign in "-+"]
    unknown = sorted(set(boundary) - set(tags))
    if unknown:
        raise UsageError(f"unknown boundary tags {unknown}; a {grid.ndim}-D grid has the sides {tags}")
    open_tags = [tag for tag in tags if not grid.periodic[int(tag[1:-1])]]
    missing = [tag for tag in open_tags if tag not in boundary]
    if missing:
        raise UsageError(
            f"no boundary condition on {missing}; give Dirichlet, Neumann or Robin for each side"
        )
    for tag, condition in boundary.items():
        if not isinstance(condition, Dirichlet | Neumann | Robin | Periodic):
            raise UsageError(
                f"boundary[{tag!r}] is a {type(condition).__name__}; expected Dirichlet, Neumann, Robin or Periodic"
            )
        if (tag not in open_tags) != isinstance(condition, Periodic):
            raise UsageError(
                f"boundary[{tag!r}] is {type(condition).__name__} but the grid has periodic={grid.periodic}; change one of them"
            )
    given = [(tag, boundary[tag]) for tag in open_tags]
    return [
        Side(int(tag[1:-1]), tag[-1] == "+", condition)
        for tag, condition in given
        if not isinstance(condition, Periodic)
    ]


def side_points(grid: Grid, axis: int, upper: bool) -> Tensor:
    """Return the points where the data of one side are evaluated: face centres of cells, or wall nodes.

    Args:
        grid: Grid of d axes.
        axis: Axis that the side is normal to.
        upper: Whether it is the upper side.

    Returns:
        Points, shape (n / shape[axis], d), ordered as the side's values.
    """
    end = torch.tensor([grid.bounds[axis][int(upper)]], dtype=torch.float64)
    axes = [end if k == axis else grid.axis(k) for k in range(grid.ndim)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, grid.ndim)


def grid_values(grid: Grid, value: Tensor | complex, name: str) -> Tensor:
    """Spread a number over the grid, or check the shape of given values.

    Args:
        grid: Grid.
        value: Number, or values of shape (*grid.shape,).
        name: Name used in the message.

    Returns:
        Values, shape (*grid.shape,), float64 or complex128.

    Raises:
        UsageError: If the shape differs from the grid's.
    """
    dtype = torch.complex128 if torch.as_tensor(value).is_complex() else torch.float64
    values = torch.as_tensor(
        value, dtype=dtype
    ).detach()  # from the number itself: it must not pass through float32
    if values.ndim and tuple(values.shape) != grid.shape:
        raise UsageError(f"{name} has shape {tuple(values.shape)}; expected a number or {grid.shape}")
    return values.expand(grid.shape)


def check_coefficient(a: Tensor) -> None:
    """Refuse a diffusion coefficient that is not positive, or zero where it is complex.

    Args:
        a: Values, any shape.

    Raises:
        UsageError: With the smallest value.
    """
    if a.is_complex():
        if bool((a == 0).any()):
            raise UsageError("the complex coefficient a is zero somewhere; it must not vanish")
    elif not bool((a > 0).all()):
        raise UsageError(
            f"the coefficient must be positive everywhere, its smallest value is {float(a.min()):.3g}"
        )


def properties(
    A: sp.csr_matrix,
    a: Tensor,
    reaction: Tensor | None,
    walls: list[tuple[float, np.ndarray]],
    *,
    convection: bool,
) -> dict[str, Any]:
    """Say what is certain about the matrix of -∇·(a∇u) + β·∇u + c u, as keywords of `LinearSystem`.

    Args:
        A: The matrix.
        a: Diffusion coefficient.
        reaction: Values of c, or None for zero.
        walls: p and r of `Side.robin` for each side.
        convection: Whether there is a β.

    Returns:
        symmetric; positive_definite, True where no term is negative and None where it is not certain; nullspace, the
        constants where c = 0 and no side has r u in its condition.
    """
    symmetric = not convection and not np.iscomplexobj(A.data)
    terms = [a.numpy(), *(r for _, r in walls)] + ([] if reaction is None else [reaction.numpy()])
    certain = symmetric and all(bool(np.all(term.real >= 0)) for term in terms)
    free = (reaction is None or not bool((reaction != 0).any())) and not any(np.any(r != 0) for _, r in walls)
    return {
        "symmetric": symmetric,
        "positive_definite": True if certain else None,
        "nullspace": np.ones(A.shape[0]) if free else None,
    }
