"""Star-shaped domains |x − centre| < r(θ) with a trigonometric radius function.

Closest points: Newton's method for the foot-point equation (γ(θ) − x)·γ'(θ) = 0, started from a fine inscribed polygon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Bounds, Method, cube, pieces
from pdeflow.geometry.domain.polygon import Polygon
from pdeflow.geometry.domain.results import Projection

NEWTON_STEPS = 8
QUADRATURE_POINTS = 4096  # the periodic trapezoidal rule converges exponentially


@dataclass(frozen=True)
class StarShaped(Domain):
    """r(θ) = Σ_k cosine[k] cos kθ + sine[k] sin kθ > 0 about a centre.

    Attributes:
        cosine: Coefficients of cos kθ from k = 0 (the mean radius), in length units.
        sine: Coefficients of sin kθ from k = 0 (that one is of no effect).
        centre: Two coordinates, in length units.
        sides: Sides of the inscribed polygon that finds the nearest arc.
        tag: Name of its boundary.
    """

    cosine: tuple[float, ...]
    sine: tuple[float, ...] = ()
    centre: tuple[float, float] = (0.0, 0.0)
    sides: int = 1024
    tag: str = "boundary"

    def __post_init__(self) -> None:
        if not self.cosine or not all(map(math.isfinite, (*self.cosine, *self.sine, *self.centre))):
            raise UsageError(
                f"a star shape needs finite coefficients and a mean radius, got {self.cosine}, {self.sine}"
            )
        highest = max(len(self.cosine), len(self.sine)) - 1
        if self.sides < max(16 * highest, 16):
            raise UsageError(
                f"frequency {highest} needs at least {max(16 * highest, 16)} sides, got {self.sides}"
            )
        least = float(self.radius(_angles(max(self.sides, QUADRATURE_POINTS))).min())
        if least <= 0:
            raise UsageError(
                f"the radius must be positive, but its least value is {least:.4g}; lower the coefficients"
            )

    def radius(self, theta: Tensor, derivative: int = 0) -> Tensor:
        """Return r or one of its derivatives.

        Args:
            theta: Angles in radians, any shape.
            derivative: Order of differentiation.
        """
        value = torch.zeros_like(theta)
        for k in range(max(len(self.cosine), len(self.sine))):
            a = self.cosine[k] if k < len(self.cosine) else 0.0
            b = self.sine[k] if k < len(self.sine) else 0.0
            phase = k * theta + derivative * 0.5 * math.pi  # each derivative multiplies by k and turns by π/2
            value = value + k**derivative * (a * torch.cos(phase) + b * torch.sin(phase))
        return value

    def curve(self, theta: Tensor, derivative: int = 0) -> Tensor:
        """Return γ(θ) = centre + r(θ) (cos θ, sin θ) or one of its first two derivatives.

        Args:
            theta: Angles in radians, shape (n,).
            derivative: 0, 1 or 2.

        Returns:
            Shape (n, 2).
        """
        ray = torch.stack([theta.cos(), theta.sin()], dim=1)
        across = torch.stack([-theta.sin(), theta.cos()], dim=1)
        r = [self.radius(theta, k)[:, None] for k in range(derivative + 1)]
        if derivative == 0:
            return theta.new_tensor(self.centre) + r[0] * ray
        if derivative == 1:
            return r[1] * ray + r[0] * across
        return (r[2] - r[0]) * ray + 2 * r[1] * across

    @cached_property
    def polygon(self) -> Polygon:
        """Inscribed polygon with `sides` vertices at equal angles."""
        return Polygon(self.curve(_angles(self.sides)))

    @property
    def bounds(self) -> Bounds:
        """(lower, upper) per axis of the polygon, widened by its distance from the curve."""
        return tuple((low - self._sagitta, high + self._sagitta) for low, high in self.polygon.bounds)

    @cached_property
    def _sagitta(self) -> float:
        """Bound of the distance between curve and polygon: max |γ''| Δθ² / 8."""
        bend = self.curve(_angles(QUADRATURE_POINTS), 2).norm(dim=1).max()
        return 1.05 * float(bend) * (2 * math.pi / self.sides) ** 2 / 8

    @property
    def tags(self) -> tuple[str, ...]:
        """The one boundary part."""
        return (self.tag,)

    def _polar(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = x - x.new_tensor(self.centre)
        return y.norm(dim=1), torch.atan2(y[:, 1], y[:, 0])

    def _outside(self, x: Tensor) -> Tensor:
        length, theta = self._polar(x.detach())
        return length > self.radius(theta)

    def _foot(self, x: Tensor) -> Tensor:
        """Return the angle of the closest point of each x; differentiable once in x."""
        fixed = x.detach()
        theta = self._polar(self.polygon.candidates.closest(fixed)[0])[1]
        start, spacing = theta, 2 * math.pi / self.sides
        for _ in range(NEWTON_STEPS):
            slope, bend = self._foot_equation(theta, fixed)
            step = torch.where(bend > 0, slope / bend, 0.0)
            theta = torch.minimum(torch.maximum(theta - step, start - spacing), start + spacing)
        if not x.requires_grad:
            return theta
        bend = self._foot_equation(theta, fixed)[
            1
        ]  # implicit function theorem: one more step, x not held fixed
        return theta - torch.where(bend > 0, self._foot_equation(theta, x)[0] / bend, 0.0)

    def _foot_equation(self, theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the first and second derivative of |γ(θ) − x|²/2."""
        gap, speed = self.curve(theta) - x, self.curve(theta, 1)
        return (gap * speed).sum(dim=1), (speed * speed + gap * self.curve(theta, 2)).sum(dim=1)

    def sdf(self, x: Tensor) -> Tensor:
        """Return the signed distance to the curve, shape (n,), float64; the sign is that of |x − centre| − r(θ).

        Args:
            x: Points, shape (n, 2).

        Raises:
            UsageError: If the points have another dimension.
        """
        x = self._checked(x).double()
        return torch.where(self._outside(x), 1.0, -1.0) * (x - self.curve(self._foot(x))).norm(dim=1)

    def inside(self, x: Tensor, tol: float = 0.0) -> Tensor:
        """Return whether φ(x) ≤ tol; for tol = 0 directly from r(θ).

        Args:
            x: Points, shape (n, 2).
            tol: Width of the layer outside that still counts.
        """
        return super().inside(x, tol) if tol else ~self._outside(self._checked(x).double())

    def distance_lower_bound(self, x: Tensor) -> Tensor:
        """Return the polygon's lower bound less its distance from the curve, shape (n,).

        Args:
            x: Points, shape (n, 2).

        Raises:
            UsageError: If the points have another dimension.
        """
        return (self.polygon.distance_lower_bound(x) - self._sagitta).clamp(min=0)

    def project(self, x: Tensor) -> Projection:
        """Return the closest points of the curve; facets are the polygon's sides.

        Args:
            x: Points, shape (n, 2).

        Raises:
            UsageError: If the points have another dimension.
        """
        x = self._checked(x).double()
        theta = self._foot(x)
        point, facet = (
            self.curve(theta),
            (theta.detach() * self.sides / (2 * math.pi)).floor().long() % self.sides,
        )
        zero = torch.zeros_like(facet)
        return Projection(point, (x - point).norm(dim=1), self._normal(theta), facet, zero)

    def _normal(self, theta: Tensor) -> Tensor:
        speed = self.curve(theta, 1)
        return torch.stack([speed[:, 1], -speed[:, 0]], dim=1) / speed.norm(dim=1, keepdim=True)

    def measure(self) -> float:
        """Return the area ½ ∫ r² dθ, in closed form."""
        square = sum(c * c for c in self.cosine[1:]) + sum(c * c for c in self.sine[1:])
        return math.pi * (self.cosine[0] ** 2 + 0.5 * square)

    def _boundary_measure(self, ids: list[int]) -> float:
        return 2 * math.pi * float(self.curve(_angles(QUADRATURE_POINTS), 1).norm(dim=1).mean())

    def _boundary(self, count: int, ids: list[int], method: Method, generator: torch.Generator) -> Tensor:
        """Draw from the inverse of the arc length, linear between 4096 angles."""
        speed = self.curve(_angles(QUADRATURE_POINTS) + math.pi / QUADRATURE_POINTS, 1).norm(dim=1)
        k, t = pieces(cube(count, 1, method, generator)[:, 0], speed)
        return self.curve((k + t) * (2 * math.pi / QUADRATURE_POINTS))


def _angles(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
