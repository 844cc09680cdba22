"""The elliptic form -∇·(a∇u) + β·∇u + c u = f and what every method needs of it, derived once.

System on a grid or a mesh, strong residual, energy, flux; the coefficients of its random walks are in `walk`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from pdeflow.discretization import finite_element, finite_volume
from pdeflow.discretization.boundary import Condition, Dirichlet
from pdeflow.discretization.finite_element import space_on
from pdeflow.errors import UsageError
from pdeflow.geometry import Box, Domain, MappedGrid, Mesh, mesh_domain
from pdeflow.geometry.domain.arguments import mesh_size
from pdeflow.linalg import LinearSystem
from pdeflow.problems.differentiate import divergence, gradient
from pdeflow.problems.instance import At, Instance, Layout, Resolution
from pdeflow.problems.problem import Problem

UNIT_SQUARE = Box.unit(2)


@dataclass(frozen=True)
class Elliptic(Problem):
    """-∇·(a∇u) + β·∇u + c u = f; dimensionless, on the unit square with u = 0 unless a subclass says otherwise.

    Subclasses say what a, β, c and f are, as functions that return values wherever they are asked: `at("a")` gives
    the values of a random field and `at.x` the points, on a grid or not.

    Attributes:
        element: Finite element used on meshes: P1 or P2 on triangles and tetrahedra, Q1 or Q2 on quadrilaterals.
    """

    element: ClassVar[Literal["P1", "P2", "Q1", "Q2"]] = "P1"

    @property
    def domain(self) -> Domain:
        """The unit square."""
        return UNIT_SQUARE

    @property
    def probe(self) -> Tensor:
        """One point, shape (1, d), at which it is asked which terms the equation has."""
        return torch.tensor(np.mean(self.domain.bounds, axis=1)[None], dtype=torch.float64)

    def shape(self, instance: Instance) -> Domain:
        """Return the domain of an instance; `domain` unless the shape is random."""
        return self.domain

    def coefficient(self, instance: Instance, at: At) -> Tensor:
        """Return a, positive; a constant may be a 0-d tensor."""
        return self._drawn("a", "coefficient", instance, at)

    def source(self, instance: Instance, at: At) -> Tensor:
        """Return f; a constant may be a 0-d tensor."""
        return self._drawn("f", "source", instance, at)

    def _drawn(self, field: str, method: str, instance: Instance, at: At) -> Tensor:
        """Return the field that a method returns unless a subclass writes it."""
        if field not in instance.fields:
            raise UsageError(
                f"{type(self).__name__} has no {method}: write `{method}(instance, at)`, or draw a field {field!r} in `sample` and name "
                "it in `inputs`, so that it is stored"
            )
        return at(field)

    def velocity(self, instance: Instance, at: At) -> Tensor | None:
        """Return β, shape (..., d), or None where there is none; it may have a divergence, β·∇u is discretized as it stands."""
        return None

    def reaction(self, instance: Instance, at: At) -> Tensor | None:
        """Return c, or None where there is none."""
        return None

    def boundary(self, instance: Instance) -> Mapping[str, Condition]:
        """Return the condition on each named part of the boundary; u = 0 everywhere by default."""
        return dict.fromkeys(self.shape(instance).tags, Dirichlet(0.0))

    def layout(self, instance: Instance, resolution: Resolution) -> Layout:
        """Return a cell-centred grid for cells per axis, on boxes, or a mesh of triangles for a size h.

        Args:
            instance: A draw.
            resolution: Cells per axis, or a mesh size in length units.

        Raises:
            UsageError: If a grid is asked for where the domain is no box, or h does not fit.
        """
        if not isinstance(resolution, int | float):
            return super().layout(instance, resolution)
        if isinstance(self.domain, Box):
            return box_mesh(self.domain, float(resolution))
        if type(self).shape is Elliptic.shape:
            return _mesh_of(self, float(resolution))
        return mesh_domain(self.shape(instance), float(resolution), backend="distmesh")

    def system(self, instance: Instance, layout: Layout) -> LinearSystem:
        """Assemble finite volumes on a grid, finite elements on a mesh.

        Args:
            instance: A draw, or fields read from a file.
            layout: Cell-centred grid, or mesh with the tags of the boundary conditions.

        Returns:
            The system; its first unknowns are the cell or point values of u, in their order.

        Raises:
            UsageError: If the layout does not fit, or a is not positive.
        """
        if isinstance(layout, Mesh):
            return self._on_mesh(instance, layout)
        if isinstance(layout, MappedGrid):
            raise UsageError("elliptic problems need a uniform grid or a mesh; use MappedGrid.to_mesh()")
        at, shape = At(instance, layout), layout.shape
        velocity, reaction = self._velocity_function(instance), self.reaction(instance, at)
        return finite_volume.elliptic_system(
            layout, _spread(self.coefficient(instance, at), shape, "coefficient"), _spread(self.source(instance, at), shape, "source"),
            self.boundary(instance), velocity=velocity, reaction=None if reaction is None else _spread(reaction, shape, "reaction"),
        )  # fmt: skip

    def _on_mesh(self, instance: Instance, mesh: Mesh) -> LinearSystem:
        parts = self._functions(instance)
        return finite_element.elliptic_system(
            space_on(mesh, self.element), parts["a"], parts["f"], self.boundary(instance),
            velocity=parts["velocity"], reaction=parts["reaction"],
        )  # fmt: skip

    def _function(
        self, part: Callable[[Instance, At], Tensor | None], instance: Instance, *, vector: bool = False
    ) -> Callable[[Tensor], Tensor]:
        """Return a part of the equation as a function of points (n, d) with values (n,) or (n, d)."""
        return lambda x: _spread(part(instance, At(instance, x)), x.shape if vector else x.shape[:1], part.__name__)

    def _velocity_function(self, instance: Instance) -> Callable[[Tensor], Tensor] | None:
        moves = self.velocity(instance, At(instance, self.probe)) is not None
        return self._function(self.velocity, instance, vector=True) if moves else None

    def _functions(self, instance: Instance) -> dict[str, Any]:
        """Return a, f, β and c as functions of points (n, d)."""
        reacts = self.reaction(instance, At(instance, self.probe)) is not None
        return {
            "a": self._function(self.coefficient, instance), "f": self._function(self.source, instance),
            "velocity": self._velocity_function(instance),
            "reaction": self._function(self.reaction, instance) if reacts else None,
        }  # fmt: skip

    @torch.enable_grad()
    def residual(self, u: Callable[[Tensor], Tensor], x: Tensor, instance: Instance) -> Tensor:
        """Evaluate the strong residual -∇·(a∇u) + β·∇u + c u - f at points, by automatic differentiation.

        Args:
            u: Differentiable function of points (n, d) with values (n,), real or complex.
            x: Points, shape (n, d).
            instance: A draw whose fields have pointwise values; a must be differentiable at the points.

        Returns:
            Residual, shape (n,), in the units of f; differentiable in the parameters of u.
        """
        x = x.detach().requires_grad_()
        at = At(instance, x)
        values = u(x)
        slope = gradient(values, x)
        a, f = (_spread(part(instance, at), x.shape[:1], part.__name__) for part in (self.coefficient, self.source))
        found = -divergence(a[:, None] * slope, x) - f
        velocity, reaction = self.velocity(instance, at), self.reaction(instance, at)
        if velocity is not None:
            found = found + (velocity * slope).sum(1)
        return found if reaction is None else found + reaction * values

    @torch.enable_grad()
    def flux(self, u: Callable[[Tensor], Tensor], x: Tensor, instance: Instance) -> Tensor:
        """Return the diffusive flux -a∇u at points (n, d), shape (n, d)."""
        x = x.detach().requires_grad_()
        return -_spread(self.coefficient(instance, At(instance, x)), x.shape[:1], "coefficient")[:, None] * gradient(u(x), x)

    def energy(self, u: Tensor, instance: Instance, mesh: Mesh) -> Tensor:
        """Return ∫ ½ a|∇u|² + ½ c u² - f u plus the boundary terms, for values of u on a mesh; β must be absent.

        Args:
            u: Values of u at the degrees of freedom, shape (n,); differentiable.
            instance: A draw.
            mesh: The mesh.

        Returns:
            The energy, a scalar; its gradient is A u - b away from Dirichlet points.

        Raises:
            UsageError: If the operator is not self-adjoint.

        Reference: Brenner and Scott (2008), section 2.5.
        """
        parts = self._functions(instance)
        if parts["velocity"] is not None:
            raise UsageError(f"{type(self).__name__} has convection, so it minimizes no energy")
        space = space_on(mesh, self.element)
        return finite_element.energy(space, u, parts["a"], parts["f"], self.boundary(instance), reaction=parts["reaction"])


def _spread(values: Tensor | complex | None, shape: Sequence[int], name: str) -> Tensor:
    """Expand a constant, or values that fit, to a shape."""
    if values is None:
        raise UsageError(f"{name}(instance, at) returned None; return its values, or a number")
    kind = None if isinstance(values, Tensor) else torch.complex128 if isinstance(values, complex) else torch.float64
    found, wanted = torch.as_tensor(values, dtype=kind), tuple(shape)
    constant = wanted[1:] if name == "velocity" else ()
    if found.numel() != 1 and found.shape not in (wanted, constant):
        one = f"one vector {constant}" if constant else "a number"
        raise UsageError(f"{name}(instance, at) must return {one} or values of shape {wanted} at the points asked for, got shape {tuple(found.shape)}")
    return found.expand(wanted)


@lru_cache(maxsize=8)
def _mesh_of(problem: Elliptic, h: float) -> Mesh:
    """Mesh the one domain that all instances of a problem share."""
    return mesh_domain(problem.domain, h, backend="distmesh")


@lru_cache(maxsize=8)
def box_mesh(box: Box, h: float) -> Mesh:
    """Return triangles of size h (legs of right angles) on a box.

    Args:
        box: The box, two axes.
        h: Length of the legs, in length units.

    Returns:
        The mesh, with the box's tags.

    Raises:
        UsageError: If h is not positive or larger than a side.
    """
    h = mesh_size(h)
    sides = [high - low for low, high in zip(box.lower, box.upper, strict=True)]
    if h > min(sides):
        raise UsageError(f"the mesh size h must be at most the shortest side {min(sides):.3g}, got {h}")
    return Mesh.rectangle([max(round(side / h), 1) for side in sides], box.lower, box.upper, "tri")
