"""What holds on a named part of the boundary: Dirichlet, Neumann, Robin or periodic.

Brenner and Scott, The Mathematical Theory of Finite Element Methods, 3rd ed. (2008), section 5.1; n is the outward normal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.errors import UsageError

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


def values_at(value: Value, x: Tensor, name: str = "the boundary data") -> Tensor:
    """Evaluate a constant or a function at points.

    Args:
        value: The constant or function.
        x: Points, shape (n, d).
        name: What it is, for messages: "the Dirichlet value on 'left'".

    Returns:
        Values, shape (n,), in the type of x or complex.

    Raises:
        UsageError: If the function returns another shape, or a value is not finite.
    """
    if not callable(value):
        found = torch.full((len(x),), value, dtype=torch.result_type(torch.tensor(value), x))
    else:
        found = value(x)
    if not isinstance(found, Tensor) or found.shape != (len(x),):
        came = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UsageError(
            f"{name}: a boundary function must return shape ({len(x)},) for points {tuple(x.shape)}, got {came}"
        )
    finite = torch.isfinite(found.detach())
    if not bool(finite.all()):
        bad = int((~finite).nonzero()[0])
        place = f" of {len(x)} points, first at {tuple(x[bad].tolist())}" if callable(value) else " points"
        raise UsageError(f"{name} is {found[bad].item()}, not finite, at {int((~finite).sum())}{place}; give finite data there")
    return found
