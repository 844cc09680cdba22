"""What holds on a named part of the boundary: Dirichlet, Neumann, Robin or periodic.

Brenner and Scott, The Mathematical Theory of Finite Element Methods, 3rd ed. (2008), section 5.1; n is the outward normal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Value = float | complex | Callable[[Tensor], Tensor]
"""A constant, or a function of points (n, d) that returns (n,)."""


@dataclass(frozen=True)
class Dirichlet:
    """The solution is given: u = value.

    Attributes:
        value: Boundary values, in the units of u.
    """

    value: Value = 0.0


@dataclass(frozen=True)
class Neumann:
    """The inward flux is given: a ∂u/∂n = value.

    Attributes:
        value: Flux through the boundary into the domain, in the units of a u / length.
    """

    value: Value = 0.0


@dataclass(frozen=True)
class Robin:
    """A combination is given: a ∂u/∂n + coefficient u = value.

    Attributes:
        coefficient: Transfer coefficient, non-negative for a definite system.
        value: Right-hand side, in the units of a u / length.
    """

    coefficient: Value
    value: Value = 0.0


@dataclass(frozen=True)
class Periodic:
    """The two sides of an axis are glued; named on both of them."""


Condition = Dirichlet | Neumann | Robin | Periodic


def values_at(value: Value, x: Tensor) -> Tensor:
    """Evaluate a constant or a function at points.

    Args:
        value: The constant or function.
        x: Points, shape (n, d).

    Returns:
        Values, shape (n,), in the type of x or complex.

    Raises:
        ValueError: If the function returns another shape.
    """
    if not callable(value):
        return torch.full((len(x),), value, dtype=torch.result_type(torch.tensor(value), x))
    found = value(x)
    if found.shape != (len(x),):
        raise ValueError(
            f"a boundary function must return shape ({len(x)},) for points {tuple(x.shape)}, got {tuple(found.shape)}"
        )
    return found
