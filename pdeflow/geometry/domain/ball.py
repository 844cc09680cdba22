"""Balls and spherical shells (in 2-D: disks and annuli) in any dimension."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds, Method, cube, directions, pieces
from pdeflow.geometry.domain.results import Hit, Projection, hit


class _Spherical(Domain):
    """What balls and shells share: concentric spheres with a side each, +1 if the normal points away from the centre."""

    centre: tuple[float, ...]

    @property
    @abstractmethod
    def _spheres(self) -> tuple[tuple[float, float], ...]:
        """(radius, side) in the order of the tags."""

    @property
    def dim(self) -> int:
        """Space dimension d."""
        return len(self.centre)

    @property
    def bounds(self) -> Bounds:
        """(lower, upper) per axis."""
        radius = self._spheres[-1][0]
        return tuple((c - radius, c + radius) for c in self.centre)

    def _relative(self, x: Tensor) -> Tensor:
        return self._checked(x) - x.new_tensor(self.centre)

    def sdf(self, x: Tensor) -> Tensor:
        """Return the signed distance, shape (n,), exact.

        Args:
            x: Points, shape (n, d).

        Raises:
            UsageError: If the points have another dimension.
        """
        length = self._relative(x).norm(dim=-1)
        return torch.stack([side * (length - radius) for radius, side in self._spheres]).amax(dim=0)

    def project(self, x: Tensor) -> Projection:
        """Return the closest boundary points; the centre goes to the end of the first axis.

        Args:
            x: Points, shape (n, d).
        """
        return self.closest(x)

    def _closest(self, x: Tensor, ids: list[int]) -> Projection:
        y = self._relative(x)
        length = y.norm(dim=1)
        outward = torch.where(
            length[:, None] > 0, y / length.clamp(min=1e-300)[:, None], torch.eye(1, self.dim).to(y)
        )
        sphere = torch.tensor(ids, device=x.device)
        spheres = x.new_tensor(self._spheres)[sphere]  # (k, 2)
        distance, best = (length[:, None] - spheres[:, 0]).abs().min(dim=1)
        point = x.new_tensor(self.centre) + spheres[best, 0:1] * outward
        return Projection(point, distance, spheres[best, 1:2] * outward, sphere[best], sphere[best])

    def _intersect(self, x: Tensor, v: Tensor, tmax: float) -> Hit:
        y = x - x.new_tensor(self.centre)
        along = (y * v).sum(dim=1)
        aside = (y - along[:, None] * v).square().sum(dim=1)
        radius, side = x.new_tensor(self._spheres).T
        half = (radius**2 - aside[:, None]).sqrt()  # (n, k), nan where the ray passes by
        t = torch.stack([-along[:, None] - half, -along[:, None] + half], dim=2).flatten(1)
        t, root = torch.where(t > 1e-12 * radius[-1], t, math.inf).min(dim=1)
        tag = root // 2
        end = y + t.where(t.isfinite(), t.new_zeros(()))[:, None] * v
        return hit(x, v, t, (side / radius)[tag, None] * end, tag, tmax)

    def measure(self) -> float:
        """Return the length, area or volume."""
        ball = math.pi ** (self.dim / 2) / math.gamma(self.dim / 2 + 1)
        return ball * sum(side * radius**self.dim for radius, side in self._spheres)

    def _boundary_measure(self, ids: list[int]) -> float:
        sphere = 2 * math.pi ** (self.dim / 2) / math.gamma(self.dim / 2)
        return sphere * sum(self._spheres[i][0] ** (self.dim - 1) for i in ids)

    def _interior(self, count: int, method: Method, generator: torch.Generator) -> Tensor:
        u = cube(count, self.dim + 1, method, generator)
        low = self._spheres[0][0] if len(self._spheres) > 1 else 0.0
        low, high = low**self.dim, self._spheres[-1][0] ** self.dim
        radius = (low + (high - low) * u[:, :1]) ** (1 / self.dim)
        return u.new_tensor(self.centre) + radius * directions(u[:, 1:])

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        u = cube(count, self.dim + 1, method, generator)
        radius = u.new_tensor([self._spheres[i][0] for i in ids])
        which, _ = pieces(u[:, 0], radius ** (self.dim - 1))
        return u.new_tensor(self.centre) + radius[which, None] * directions(u[:, 1:])

    def _moved_centre(self, rotation: Tensor, factor: float, shift: Tensor) -> tuple[float, ...]:
        return tuple((factor * rotation @ torch.tensor(self.centre, dtype=torch.float64) + shift).tolist())


@dataclass(frozen=True)
class Ball(_Spherical):
    """Ball |x − centre| < radius.

    Attributes:
        centre: d coordinates in length units.
        radius: In length units.
        tag: Name of its boundary, so that several balls can be told apart.
    """

    centre: tuple[float, ...]
    radius: float
    tag: str = "boundary"

    convex = True

    def __post_init__(self) -> None:
        if not self.centre or not 0 < self.radius < math.inf:
            raise UsageError(
                f"a ball needs a centre and a positive radius, got {self.centre} and {self.radius}"
            )

    @property
    def tags(self) -> tuple[str, ...]:
        """The one boundary part."""
        return (self.tag,)

    @property
    def _spheres(self) -> tuple[tuple[float, float], ...]:
        return ((self.radius, 1.0),)

    def offset(self, width: float) -> Domain:
        """Return the ball of radius + width.

        Args:
            width: In length units, above −radius.

        Raises:
            UsageError: If nothing would be left.
        """
        return Ball(self.centre, self.radius + width, self.tag)

    def _moved(self, rotation: Tensor, factor: float, shift: Tensor) -> Domain:
        return Ball(self._moved_centre(rotation, factor, shift), factor * self.radius, self.tag)


@dataclass(frozen=True)
class Annulus(_Spherical):
    """Shell inner < |x − centre| < outer; the boundary parts are "inner" and "outer".

    Attributes:
        centre: d coordinates in length units.
        inner: Inner radius, in length units.
        outer: Outer radius.
    """

    centre: tuple[float, ...]
    inner: float
    outer: float

    def __post_init__(self) -> None:
        if not self.centre or not 0 < self.inner < self.outer < math.inf:
            raise UsageError(
                f"an annulus needs a centre and 0 < inner < outer, got {self.inner} and {self.outer}"
            )

    @property
    def tags(self) -> tuple[str, ...]:
        """The two boundary parts."""
        return ("inner", "outer")

    @property
    def _spheres(self) -> tuple[tuple[float, float], ...]:
        return ((self.inner, -1.0), (self.outer, 1.0))

    def _moved(self, rotation: Tensor, factor: float, shift: Tensor) -> Domain:
        return Annulus(self._moved_centre(rotation, factor, shift), factor * self.inner, factor * self.outer)
