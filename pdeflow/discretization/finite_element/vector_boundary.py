"""What holds on a part of the boundary of a vector field: some components given, or a traction.

Ern and Guermond, Theory and Practice of Finite Elements (2004), section 3.4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pdeflow.discretization.finite_element.coefficients import at_points
from pdeflow.discretization.finite_element.dirichlet import first_wins
from pdeflow.discretization.finite_element.pattern import accumulate
from pdeflow.discretization.finite_element.vector_space import VectorSpace
from pdeflow.errors import UsageError

VectorValue = Sequence[float] | Callable[[Tensor], Tensor]
"""One number per component, or a function of points (n, d) -> (n, d)."""


@dataclass(frozen=True)
class VectorDirichlet:
    """Components of the field are given: u_e = value_e; the others are free of traction.

    Attributes:
        value: The field; None means zero.
        components: Which components are given; None means all. (0,) on a vertical side is a roller.
    """

    value: VectorValue | None = None
    components: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Traction:
    """The force per area on the boundary is given: σ·n = value.

    Attributes:
        value: The traction; None means zero (a free surface, or an outlet where nothing is prescribed).
    """

    value: VectorValue | None = None


VectorCondition = VectorDirichlet | Traction
VectorBoundary = Mapping[str, VectorCondition]
"""A condition for each facet tag; "*" or "boundary" covers the facets that no tag names."""


def traction_load(space: VectorSpace, boundary: VectorBoundary) -> np.ndarray:
    """Assemble ∫ t·v over the traction parts, shape (n,).

    Args:
        space: The space.
        boundary: Condition of each facet tag.

    Raises:
        UsageError: If a tag or a shape does not fit, data are not finite, or facets have no condition.
    """
    b = np.zeros(space.n)
    for ids, tag, condition in _parts(space, boundary):
        if isinstance(condition, Traction) and condition.value is not None and len(ids):
            facets = space.scalar.facets(ids)
            t = at_points(condition.value, facets.points, [(space.dim,)], f"the traction on '{tag}'")
            local = np.einsum("fre,frk->fke", facets.weights[:, :, None] * t, facets.values)
            b += accumulate(space.dofs[facets.cells], local, space.n)
    return b


def prescribed_values(space: VectorSpace, boundary: VectorBoundary) -> tuple[np.ndarray, np.ndarray]:
    """Return the given degrees of freedom, ascending, and their values; the part named first wins at corners.

    Args:
        space: The space.
        boundary: Condition of each facet tag.

    Raises:
        UsageError: If a tag, a component or a shape does not fit, data are not finite, or facets have no condition.
    """
    found = []
    for ids, tag, condition in _parts(space, boundary):
        if isinstance(condition, VectorDirichlet) and len(ids):
            nodes = space.scalar.facet_dofs(ids)
            components = _components(condition, space.dim)
            zero = torch.zeros(space.dim, dtype=torch.float64)
            value = zero if condition.value is None else condition.value
            x = space.scalar.points[nodes][:, None]
            values = np.broadcast_to(
                at_points(value, x, [(space.dim,)], f"the value of VectorDirichlet on '{tag}'"), (len(nodes), 1, space.dim)
            )
            found.append(
                ((nodes[:, None] * space.dim + components).ravel(), values[:, 0, components].ravel())
            )
    return first_wins(found)


def _components(condition: VectorDirichlet, dim: int) -> np.ndarray:
    chosen = range(dim) if condition.components is None else condition.components
    if not all(0 <= c < dim for c in chosen):
        raise UsageError(f"components {condition.components} must lie between 0 and {dim - 1}")
    return np.array(list(chosen), dtype=np.int64)


def _parts(space: VectorSpace, boundary: VectorBoundary) -> list[tuple[np.ndarray, str, VectorCondition]]:
    for tag, condition in boundary.items():
        if not isinstance(condition, VectorDirichlet | Traction):
            raise UsageError(
                f"the condition of '{tag}' is {type(condition).__name__}; vector fields take VectorDirichlet or Traction"
            )
    sets = space.scalar.facet_sets(tuple(boundary))
    return [(ids, tag, condition) for ids, (tag, condition) in zip(sets, boundary.items(), strict=True)]
