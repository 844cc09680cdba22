"""Half-spaces, to cut other domains with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.ball import Ball
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds, Method
from pdeflow.geometry.domain.results import Hit, Projection, hit


@dataclass(frozen=True)
class HalfSpace(Domain):
    """Half-space normal · (x − point) < 0; its boundary has the tag "boundary".

    Attributes:
        point: A point of the boundary, d coordinates in length units.
        normal: Outward normal of any length, d entries.
        reach: Boundary measures and samples count the part within this distance of `point`.
    """

    point: tuple[float, ...]
    normal: tuple[float, ...]
    reach: float = math.inf

    convex = True

    def __post_init__(self) -> None:
        if (
            not self.point
            or len(self.point) != len(self.normal)
            or not 0 < math.hypot(*self.normal) < math.inf
        ):
            raise UsageError(
                f"a half-space needs a point and a nonzero normal, got {self.point} and {self.normal}"
            )

    @property
    def dim(self) -> int:
        """Space dimension d."""
        return len(self.point)

    @property
    def length_scale(self) -> float:
        """Zero: a half-space has no length."""
        return 0.0

    @property
    def bounds(self) -> Bounds:
        """Infinite, but on the outward side of a half-space that is normal to an axis."""
        length = math.hypot(*self.normal)
        return tuple(
            (p if n == -length else -math.inf, p if n == length else math.inf)
            for p, n in zip(self.point, self.normal, strict=True)
        )

    @property
    def tags(self) -> tuple[str, ...]:
        """The one boundary part."""
        return ("boundary",)

    def _unit(self, x: Tensor) -> Tensor:
        normal = x.new_tensor(self.normal)
        return normal / normal.norm()

    def sdf(self, x: Tensor) -> Tensor:
        """Return the signed distance, shape (n,), exact.

        Args:
            x: Points, shape (n, d).

        Raises:
            UsageError: If the points have another dimension.
        """
        return (self._checked(x) - x.new_tensor(self.point)) @ self._unit(x)

    def project(self, x: Tensor) -> Projection:
        """Return the foot points on the boundary.

        Args:
            x: Points, shape (n, d).
        """
        phi, normal = self.sdf(x), self._unit(x)
        zero = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return Projection(x - phi[:, None] * normal, phi.abs(), normal.expand_as(x), zero, zero)

    def _intersect(self, x: Tensor, v: Tensor, tmax: float) -> Hit:
        normal = self._unit(x)
        t = -self.sdf(x) / (v @ normal)
        t = torch.where((t > 1e-12) & t.isfinite(), t, math.inf)
        return hit(x, v, t, normal.expand_as(x), torch.zeros(len(x), dtype=torch.int64), tmax)

    def _boundary_measure(self, ids: list[int]) -> float:
        if self.dim == 1:
            return 1.0
        return Ball((0.0,) * (self.dim - 1), self.reach).measure() if self.reach < math.inf else math.inf

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        point = torch.tensor(self.point, dtype=torch.float64)
        if self.dim == 1:
            return point.expand(count, 1)
        if self.reach == math.inf:
            raise UsageError(
                "the HalfSpace is unbounded; give it a reach or intersect it with a bounded domain"
            )
        flat = Ball((0.0,) * (self.dim - 1), self.reach).sample_interior(count, method, generator=generator)
        basis = torch.linalg.svd(self._unit(point)[None])[2][1:]  # (d − 1, d), orthogonal to the normal
        return point + flat @ basis

    def _windowed(self, bounds: Bounds) -> Domain:
        lower, upper = torch.tensor(bounds, dtype=torch.float64).T
        if not bool((upper - lower).isfinite().all()):
            return self
        centre = self.project((0.5 * (lower + upper))[None]).point[0]
        return HalfSpace(tuple(centre.tolist()), self.normal, 0.5 * float((upper - lower).norm()))

    def _moved(self, rotation: Tensor, factor: float, shift: Tensor) -> Domain:
        point = factor * rotation @ torch.tensor(self.point, dtype=torch.float64) + shift
        normal = rotation @ torch.tensor(self.normal, dtype=torch.float64)
        return HalfSpace(tuple(point.tolist()), tuple(normal.tolist()), factor * self.reach)
