"""-∇·(a∇u) + β·∇u + c u = f with Dirichlet, Neumann and Robin boundary, as a linear system of nodal values.

Weak form: ∫ a∇u·∇v + (β·∇u) v + c u v + ∫_Robin α u v = ∫ f v + ∫_Neumann g v + ∫_Robin g v.
Ern and Guermond, Theory and Practice of Finite Elements (2004), section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from pdeflow.discretization.boundary import Condition, Dirichlet, Neumann, Robin, Value, values_at
from pdeflow.discretization.finite_element.assembly import local_convection, local_mass, local_stiffness
from pdeflow.discretization.finite_element.coefficients import Coefficient, at_points
from pdeflow.discretization.finite_element.dirichlet import Condensed, condense, first_wins
from pdeflow.discretization.finite_element.facet_tables import FacetTables
from pdeflow.discretization.finite_element.pattern import accumulate
from pdeflow.discretization.finite_element.space import FEMSpace
from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem

Boundary = Mapping[str, Condition]
"""A condition for each facet tag; "*" or "boundary" covers the facets that no tag names."""


def elliptic_system(
    space: FEMSpace,
    a: Coefficient,
    f: Coefficient,
    boundary: Boundary,
    *,
    velocity: Coefficient | None = None,
    reaction: Coefficient | None = None,
) -> LinearSystem:
    """Assemble -∇·(a∇u) + β·∇u + c u = f; x of the system is u at `space.points`.

    Args:
        space: Finite element space; on the same space a further call only refills the matrix.
        a: Positive diffusion coefficient, or symmetric positive definite (d, d) tensor.
        f: Source.
        boundary: Condition of each facet tag; "*" or "boundary" covers the rest. Where two Dirichlet tags meet in a
            node, the one named first decides.
        velocity: β, values of shape (d,); None means zero. Not stabilized: keep |β| h / a below about 2.
        reaction: c; None means zero. Complex c, a or Robin coefficients (Helmholtz) give a complex symmetric matrix.

    Returns:
        System of all degrees of freedom; Dirichlet ones are eliminated symmetrically.

    Raises:
        UsageError: If a tag or shape does not fit, data are not finite, a is not positive, facets have no condition, a
            condition is Periodic, or convection meets Neumann conditions only (its null space differs from its adjoint's).

    Reference: Ern and Guermond (2004), eq. (3.6)-(3.15).
    """
    form = _Form(space, a, f, boundary, velocity, reaction)
    matrix = space.pattern.matrix(form.data)
    if form.dofs.size:
        matrix, b = space.pattern.elimination(form.dofs).apply(matrix, form.b, form.values)
    else:
        b = form.b
    hermitian = velocity is None and not _complex_valued(matrix.data)
    if hermitian and np.iscomplexobj(matrix.data) and not np.iscomplexobj(b):
        matrix = matrix.real.tocsr()
    if form.singular and velocity is not None:
        raise UsageError(
            "convection with Neumann conditions everywhere has no unique solution; name a Dirichlet or Robin part "
            "or a reaction"
        )
    return LinearSystem(
        A=matrix,
        b=b,
        symmetric=hermitian,
        positive_definite=form.definite if hermitian else False,
        nullspace=np.ones(space.n) if form.singular else None,
        layout=space.layout,
    )


def condensed_system(
    space: FEMSpace,
    a: Coefficient,
    f: Coefficient,
    boundary: Boundary,
    *,
    velocity: Coefficient | None = None,
    reaction: Coefficient | None = None,
) -> Condensed:
    """Assemble as elliptic_system, without the Dirichlet unknowns; `.expand(x)` gives the full vector.

    Args:
        space: Finite element space.
        a: Diffusion coefficient.
        f: Source.
        boundary: Condition of each facet tag.
        velocity: β, or None.
        reaction: c, or None.

    Raises:
        UsageError: As elliptic_system.
    """
    form = _Form(space, a, f, boundary, velocity, reaction)
    return condense(space.pattern.matrix(form.data), form.b, form.dofs, form.values)


class _Form:
    """The matrix data and load before elimination, the prescribed values, and what is known about definiteness."""

    def __init__(
        self,
        space: FEMSpace,
        a: Coefficient,
        f: Coefficient,
        boundary: Boundary,
        velocity: Coefficient | None,
        reaction: Coefficient | None,
    ):
        self.space = space
        for tag, condition in boundary.items():
            if not isinstance(condition, Dirichlet | Neumann | Robin):
                raise UsageError(
                    f"the condition of '{tag}' is {type(condition).__name__}; finite elements take Dirichlet, Neumann, Robin"
                )
        parts = list(zip(space.facet_sets(tuple(boundary)), boundary.items(), strict=True))
        diffusion = space.diffusion(a)
        local = local_stiffness(space, diffusion)
        self.non_negative, self.anchored = not np.iscomplexobj(diffusion), False
        if reaction is not None:
            c = at_points(reaction, space.quadrature_points, [()], "the reaction c")
            local = local + local_mass(space, c)
            self._judge(c)
        self.data, self.b = space.pattern.fill_symmetric(local), space.load(f)
        if velocity is not None:
            self.data = self.data + space.pattern.fill(
                local_convection(space, space.vector_values(velocity, "the velocity"))
            )
        for ids, (tag, condition) in parts:
            if isinstance(condition, Neumann | Robin) and len(ids):
                self._add_natural(space.facets(ids), condition, tag)
        prescribed = [(space.facet_dofs(ids), c.value, tag) for ids, (tag, c) in parts if isinstance(c, Dirichlet)]
        self.dofs, self.values = first_wins(
            [(d, _at(v, space.points[d], f"the value of Dirichlet on '{tag}'")) for d, v, tag in prescribed]
        )
        self.anchored |= self.dofs.size > 0

    def _add_natural(self, facets: FacetTables, condition: Neumann | Robin, tag: str) -> None:
        """Add the boundary integrals of Neumann and Robin facets."""
        dofs = self.space.dofs[facets.cells]
        shape, x = facets.weights.shape, facets.points.reshape(-1, self.space.dim)
        of = f"of {type(condition).__name__} on '{tag}'"
        flux = _at(condition.value, x, f"the value {of}").reshape(shape)
        self.b = self.b + accumulate(dofs, facets.local_load(flux), self.space.n)
        if isinstance(condition, Robin):
            alpha = _at(condition.coefficient, x, f"the coefficient {of}").reshape(shape)
            self.data = self.data + self.space.pattern.fill(facets.local_mass(alpha), facets.cells)
            self._judge(alpha)

    def _judge(self, values: np.ndarray) -> None:
        """Note whether a zero-order term is non-negative, and whether it excludes constants from the kernel."""
        self.non_negative &= bool((values.real >= 0).all()) and not _complex_valued(values)
        self.anchored |= bool(values.any())

    @property
    def singular(self) -> bool:
        """Whether constants are in the kernel: no Dirichlet, no Robin coefficient and no reaction."""
        return not self.anchored

    @property
    def definite(self) -> bool | None:
        """True when the form is coercive (on the complement of the constants); unknown when a term is negative."""
        return True if self.non_negative else None


def _at(value: Value, x: torch.Tensor, name: str) -> np.ndarray:
    """Evaluate boundary data at points (n, d) as an array (n,).

    Raises:
        UsageError: If the shape does not fit, or a value is not finite.
    """
    return values_at(value, x, name).detach().resolve_conj().numpy()


def _complex_valued(values: np.ndarray) -> bool:
    return bool(np.iscomplexobj(values) and np.abs(values.imag).max(initial=0.0) > 0)
