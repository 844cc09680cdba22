"""Steady heat in a plate with a slot: two random numbers, one matrix.

Wang et al., Accelerating data generation for neural operators via Krylov subspace recycling, ICLR 2024, appendix (Thermal).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pdeflow.discretization.boundary import Condition, Dirichlet, Neumann
from pdeflow.errors import UsageError
from pdeflow.geometry import Domain, Mesh, Polygon
from pdeflow.geometry.domain.arguments import mesh_size
from pdeflow.problems.elliptic import Elliptic
from pdeflow.problems.instance import At, Instance, Layout, Resolution

HALF_WIDTH, HALF_HEIGHT = 0.5, 0.8
SLOT_HALF_WIDTH, SLOT_HALF_HEIGHT = 0.05, 0.4


@dataclass(frozen=True)
class SlottedPlate(Elliptic):
    """-∇·(κ∇u) = 0 in a 1.0 × 1.6 plate with a 0.1 × 0.8 slot; u = T on the left, κ ∂u/∂n = -q on the right, else 0 flux.

    The solution is linear in (T, q): two solves and a sum give every sample exactly.

    Attributes:
        temperature: T is U(0, temperature).
        outflow: q is U(0, outflow), the heat drawn out of the right edge.
        conductivity: κ.
    """

    temperature: float = 100.0
    outflow: float = 100.0
    conductivity: float = 1.0

    element: ClassVar[Literal["P1", "P2", "Q1", "Q2"]] = "P2"
    inputs: ClassVar[tuple[str, ...]] = ()
    equation: ClassVar[str] = "-div(kappa grad u) = 0 in a slotted plate, u = T on the left, outflow q on the right"
    resolution: ClassVar[Resolution] = 0.1

    def __post_init__(self) -> None:
        if not self.conductivity > 0:
            raise UsageError(f"the conductivity must be positive, got {self.conductivity}")

    @property
    def domain(self) -> Domain:
        """The plate; its edges are "left", "right", "bottom", "top" and "slot"."""
        return _plate()

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw the two numbers.

        Args:
            generator: Source of randomness.

        Returns:
            Instance with the scalars T and q, and no field.
        """
        T, q = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        return Instance({}, {"T": self.temperature * T, "q": self.outflow * q})

    def coefficient(self, instance: Instance, at: At) -> Tensor:
        """Return a = κ."""
        return torch.tensor(self.conductivity, dtype=torch.float64)

    def source(self, instance: Instance, at: At) -> Tensor:
        """Return f = 0."""
        return torch.zeros((), dtype=torch.float64)

    def boundary(self, instance: Instance) -> Mapping[str, Condition]:
        """Return the temperature on the left, the flux on the right, insulation elsewhere."""
        free = dict.fromkeys(("bottom", "top", "slot"), Neumann(0.0))
        return {"left": Dirichlet(instance.scalars["T"]), "right": Neumann(-instance.scalars["q"]), **free}

    def layout(self, instance: Instance, resolution: Resolution) -> Layout:
        """Return the mesh for a size h, the same object for all instances."""
        if not isinstance(resolution, int | float):
            raise UsageError(f"SlottedPlate needs a mesh size, e.g. h: {self.resolution}, not cells per axis {resolution}")
        return plate_mesh(float(resolution))


@lru_cache(maxsize=1)
def _plate() -> Domain:
    x, y, a, b = HALF_WIDTH, HALF_HEIGHT, SLOT_HALF_WIDTH, SLOT_HALF_HEIGHT
    return Polygon(
        _loop((-x, -y), (x, -y), (x, y), (-x, y)), holes=(_loop((-a, -b), (-a, b), (a, b), (a, -b)),),
        edge_tags={"bottom": [0], "right": [1], "top": [2], "left": [3], "slot": [4, 5, 6, 7]},
    )  # fmt: skip


def _loop(*corners: tuple[float, float]) -> Tensor:
    return torch.tensor(corners, dtype=torch.float64)


@lru_cache(maxsize=4)
def plate_mesh(h: float) -> Mesh:
    """Return right triangles of size h on the plate, with the tags of its edges.

    Args:
        h: Length of the legs; 0.1 and 0.05 divided by whole numbers fit the slot.

    Returns:
        The mesh.

    Raises:
        UsageError: If h does not fit the slot.
    """
    columns = round(2 * SLOT_HALF_WIDTH / mesh_size(h))
    if columns < 1 or abs(columns * h - 2 * SLOT_HALF_WIDTH) > 1e-9 or (columns > 1 and columns % 2):
        raise UsageError(f"the mesh size must be 0.1 or 0.05 divided by a whole number, so that cells fit the slot, got {h}")
    across = 2 * round(HALF_WIDTH / h) if columns > 1 else round(2 * HALF_WIDTH / h) + 1
    x = torch.linspace(-HALF_WIDTH, HALF_WIDTH, across + 1, dtype=torch.float64)
    if columns == 1:  # an odd number of columns: the middle one is the slot
        side = torch.linspace(SLOT_HALF_WIDTH, HALF_WIDTH, (across - 1) // 2 + 1, dtype=torch.float64)
        x = torch.cat([-side.flip(0), side])
    y = torch.linspace(-HALF_HEIGHT, HALF_HEIGHT, 2 * round(HALF_HEIGHT / h) + 1, dtype=torch.float64)
    full = Mesh.rectangle((len(x) - 1, len(y) - 1), (0.0, 0.0), (len(x) - 1, len(y) - 1), "tri")
    i, j = full.points.round().long().unbind(-1)
    full = Mesh(torch.stack([x[i], y[j]], dim=1), full.cells, "tri")
    centre = full.centroids().abs()
    cells = full.cells[(centre[:, 0] > SLOT_HALF_WIDTH) | (centre[:, 1] > SLOT_HALF_HEIGHT)]
    used, cells = torch.unique(cells, return_inverse=True)
    inside = 1e-9
    return Mesh(full.points[used], cells, "tri").tag_facets({
        "left": lambda m: m[:, 0] < -HALF_WIDTH + inside,
        "right": lambda m: m[:, 0] > HALF_WIDTH - inside,
        "bottom": lambda m: m[:, 1] < -HALF_HEIGHT + inside,
        "top": lambda m: m[:, 1] > HALF_HEIGHT - inside,
        "slot": lambda m: (m[:, 0].abs() < SLOT_HALF_WIDTH + inside) & (m[:, 1].abs() < SLOT_HALF_HEIGHT + inside),
    })  # fmt: skip
