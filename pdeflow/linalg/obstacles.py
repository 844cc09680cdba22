"""Obstacles in a box: cells that do not belong to the domain of -∇·(a∇u) = f, what holds on their walls and on the sides of the box.

Cell-centred finite volumes as in pdeflow.linalg.operators; Eymard, Gallouët and Herbin (2000), section 9, for the walls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor

from pdeflow.linalg import operators

Wall = Literal["neumann", "dirichlet"]


@dataclass(frozen=True, eq=False)
class Obstacles:
    """Which cells are in the domain, and what holds at the faces between them and the others.

    Attributes:
        active: Cells of the domain, bool, shape (*grid).
        wall: "neumann", no flux, or "dirichlet", u = 0 half a cell from the last cell centre.
        insulated: Sides of the box without flux, of "x0-", "x0+", "x1-", …; u = 0 on the others.

    Raises:
        ValueError: If active is not boolean or has no True, or the wall or a side is unknown.
    """

    active: Tensor
    wall: Wall = "neumann"
    insulated: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check type, wall and sides."""
        if self.active.dtype != torch.bool or not bool(self.active.any()) or self.wall not in ("neumann", "dirichlet"):
            raise ValueError(
                f"expected a boolean mask with at least one cell and wall 'neumann' or 'dirichlet', got {self.active.dtype} and {self.wall!r}"
            )
        sides = [f"x{k}{end}" for k in range(self.active.ndim) for end in "-+"]
        if not set(self.insulated) <= set(sides):
            raise ValueError(f"insulated must name sides of the box, of {', '.join(sides)}, got {self.insulated}")

    def coarse(self) -> Obstacles:
        """Obstacles of the grid with half the cells per axis, even sides.

        A cell that an insulating obstacle covers in part stays, one that a cold obstacle covers in part goes: each keeps its wall
        to the cell.
        """
        active = self.active
        for axis in range(active.ndim):
            first, second = active.unflatten(axis, (-1, 2)).unbind(axis + 1)
            active = first | second if self.wall == "neumann" else first & second
        return Obstacles(active if bool(active.any()) else torch.ones_like(active), self.wall, self.insulated)


def obstacle_faces(coefficient: Tensor, spacing: Sequence[float], obstacles: Obstacles) -> operators.Faces:
    """Conductances with obstacles; `operators.apply` gives A u in the cells of the domain for u that vanishes elsewhere.

    Args:
        coefficient: Positive cell values a, shape (..., *grid).
        spacing: Cell widths.
        obstacles: The obstacles.

    Returns:
        As operators.face_conductances: as there between two cells of the domain and at the sides of the box where u = 0, zero or
        2 a area / h at an obstacle, zero inside it and at insulated sides.
    """
    dim, active = len(spacing), obstacles.active.to(coefficient.device)
    faces = []
    for k, face in enumerate(operators.face_conductances(coefficient, spacing)):
        axis, n = k - dim, active.shape[k]
        closed = torch.zeros_like(active.narrow(k, 0, 1))
        low, high = torch.cat((closed, active), k), torch.cat((active, closed), k)  # the cells before and after each face
        edge = coefficient.narrow(axis, 0, 1), coefficient.narrow(axis, n - 1, 1)
        before, after = torch.cat((edge[0], coefficient), axis), torch.cat((coefficient, edge[1]), axis)
        wall = 2 * torch.where(low, before, after) * (prod(spacing) / spacing[k] ** 2)
        cold = torch.full((n + 1,), obstacles.wall == "dirichlet", device=active.device)
        cold[0], cold[-1] = (f"x{k}{end}" not in obstacles.insulated for end in "-+")
        cold = cold.reshape(-1, *[1] * (dim - 1 - k))
        faces.append(torch.where(low & high, face, torch.where((low ^ high) & cold, wall, 0.0)))
    return tuple(faces)
