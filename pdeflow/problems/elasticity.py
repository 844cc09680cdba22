"""A thin sheet with a random void under tension: linear elasticity, and the rubber of which it is the limit.

Geometry of Li et al., JMLR 24 (2023), section 4.1; plane-stress incompressible Rivlin-Saunders material as derived in
`discretization.plane_stress`. At the published load of 100 the sheet is linear to a tenth of a per cent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pdeflow.discretization.plane_stress import LinearElastic, RivlinSaunders
from pdeflow.linalg import LinearSystem, Solution
from pdeflow.problems.instance import Instance, Layout
from pdeflow.problems.problem import Answer
from pdeflow.problems.unit_cell import UnitCell


@dataclass(frozen=True)
class Elasticity(UnitCell):
    """-∇·σ = 0, σ = 2μ ε(u) + 2μ tr ε(u) I with μ = 2 (c1 + c2): plane stress of an incompressible linear solid.

    u = 0 at the bottom, σn = (0, t) at the top, σn = 0 elsewhere. Fields as in `UnitCell`.
    """

    equation: ClassVar[str] = "-div(sigma(u)) = 0, plane stress; bottom clamped, traction on top, random void"

    @property
    def material(self) -> LinearElastic:
        """The stored energy."""
        return RivlinSaunders(self.c1, self.c2).linear()

    def system(self, instance: Instance, layout: Layout) -> LinearSystem:
        """Assemble equilibrium for the displacements (u_x, u_y), node after node.

        Args:
            instance: A draw; its shape is in the layout.
            layout: O-grid of `layout`.
        """
        solid = self.solid(layout, self.material)
        return solid.system(np.zeros(solid.load.shape), solid.load, definite=True)

    def unpack(self, x: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
        """Return von Mises stress and displacements on the grid.

        Args:
            x: Displacements, shape (2n,).
            layout: Where they live.
        """
        return self.output_fields(self.solid(layout, self.material), x.reshape(-1, 2))


@dataclass(frozen=True)
class Hyperelasticity(UnitCell):
    """-∇·P(F) = 0, F = I + ∇u, P = ∂W/∂F, W = C1 (tr C + J⁻² - 3) + C2 (J² + tr C J⁻² - 3), C = FᵀF, J = det F.

    u = 0 at the bottom, Pn = (0, t) at the top (a dead load), Pn = 0 elsewhere. The hard variant has traction 5e4, at which
    the sheet stretches by more than a tenth. Fields as in `UnitCell`.
    """

    equation: ClassVar[str] = (
        "-div(P(I + grad u)) = 0, Rivlin-Saunders, plane stress; bottom clamped, traction on top, random void"
    )
    verdict: ClassVar[str] = "norm of the out-of-balance nodal forces over the norm of the nodal loads"
    linear: ClassVar[bool] = False
    algorithm: ClassVar[str] = "Newton with line search, load steps where it fails, nine-node elements"

    @property
    def material(self) -> RivlinSaunders:
        """The stored energy."""
        return RivlinSaunders(self.c1, self.c2)

    def compute(
        self, instance: Instance, layout: Layout, solve: Callable[[LinearSystem], Solution]
    ) -> Answer:
        """Find equilibrium by Newton's method.

        Args:
            instance: A draw; its shape is in the layout.
            layout: O-grid of `layout`.
            solve: Solver of the linear system of each step.

        Returns:
            Stress and displacements with the relative residual of equilibrium; steps count as iterations.
        """
        solid = self.solid(layout, self.material)
        found = solid.solve(solve)
        fields = self.output_fields(solid, found.x)
        return Answer(
            fields, solid.relative_residual(found.x) if found.converged else np.inf, found.iterations
        )
