"""Queries for a domain known by its signed distance or level-set function only.

Foot points: Hartmann, Computer Aided Geometric Design 16 (1999), 689-698 (Newton steps and tangent-plane projections).
Sphere tracing: Hart, The Visual Computer 12 (1996), 527-545.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.arguments import check_points
from pdeflow.geometry.domain.draw import Method, cube_stream, in_bounds, reject
from pdeflow.geometry.domain.protocol import Region
from pdeflow.geometry.domain.results import Hit, Projection, hit

SHELL = 0.01  # half-width of the layer that boundary samples come from, over the diameter
TRACING_STEPS = 1 << 14  # most rays need fifty; those that graze the boundary need many


def gradient(domain: Region, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return φ and ∇φ by automatic differentiation, detached.

    Args:
        domain: The domain.
        x: Points, shape (n, d).

    Returns:
        Shapes (n,) and (n, d).
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        phi = domain.sdf(x)
        (slope,) = torch.autograd.grad(phi.sum(), x)
    return phi.detach(), slope


def to_boundary(domain: Region, x: Tensor, steps: int = 30) -> Tensor:
    """Move points along ∇φ until φ = 0 (Newton's method).

    Args:
        domain: The domain.
        x: Points, shape (n, d).
        steps: Most iterations.
    """
    point, tiny = x.detach().double(), 1e-15 * domain.length_scale
    longest = 0.5 * domain.length_scale
    for _ in range(steps):
        phi, slope = gradient(domain, point)
        if bool((phi.abs() <= tiny).all()):
            break
        step = phi[:, None] * slope / slope.square().sum(dim=1, keepdim=True).clamp(min=1e-12)
        point = point - step * (longest / step.norm(dim=1, keepdim=True).clamp(min=1e-300)).clamp(max=1.0)
    return point


def foot_point(domain: Region, x: Tensor, turns: int = 40, start: Tensor | None = None) -> Projection:
    """Find boundary points that x is orthogonal to; the closest one unless another is nearly as close.

    Args:
        domain: The domain.
        x: Points, shape (n, d).
        turns: Most tangent-plane projections.
        start: Boundary points to begin with, shape (n, d); x moved along ∇φ if None.

    Returns:
        The projection; its points do not carry gradients.
    """
    x = check_points(x, domain.dim).detach().double()
    point = to_boundary(domain, x) if start is None else start
    share = torch.ones(
        len(x), 1, dtype=torch.float64
    )  # of the way in the tangent plane; halved where that overshoots
    for _ in range(0 if domain.exact else turns):
        normal = unit(gradient(domain, point)[1])
        off = x - point
        tangent = off - (off * normal).sum(dim=1, keepdim=True) * normal
        new = to_boundary(domain, point + share * tangent)
        better = ((x - new).norm(dim=1) < off.norm(dim=1)) & (
            domain.sdf(new).abs() < 1e-9 * domain.length_scale
        )
        point = torch.where(better[:, None], new, point)
        share = torch.where(better[:, None], share, 0.5 * share)
    zero = torch.zeros(len(x), dtype=torch.int64)
    return Projection(point, (x - point).norm(dim=1), unit(gradient(domain, point)[1]), zero, zero)


def unit(v: Tensor) -> Tensor:
    """Normalize vectors, shape (n, d); zero stays zero."""
    return v / v.norm(dim=1, keepdim=True).clamp(min=1e-300)


def sphere_trace(domain: Region, x: Tensor, v: Tensor, tmax: float) -> Hit:
    """Follow rays in steps of the lower bound of the distance, then bisect where φ changes sign.

    Steps have a floor of 1e-6 diameters, after 128 steps 1e-5 and after 256 steps 1e-4: a grazing ray may miss less.

    Args:
        domain: The domain.
        x: Origins, shape (n, d).
        v: Unit directions, shape (n, d).
        tmax: Longest length.

    Raises:
        UsageError: If φ is neither exact nor Lipschitz.
    """
    x = x.detach()
    least = 1e-6 * domain.diameter  # so that a ray can leave the boundary
    last, t = torch.zeros(len(x), dtype=torch.float64), torch.full((len(x),), least, dtype=torch.float64)
    start = domain.sdf(x + least * v) > 0
    lower, upper = torch.tensor(domain.bounds, dtype=torch.float64).T
    reach = (torch.maximum(x - lower, upper - x)).norm(dim=1).clamp(max=tmax) + least  # beyond it Ω is behind
    met = torch.zeros(len(x), dtype=torch.bool)
    for step in range(TRACING_STEPS):
        running = ~met & (t < reach)
        if not bool(running.any()):
            break
        point = x[running] + t[running, None] * v[running]
        phi = domain.sdf(point)
        crossed = (phi > 0) != start[running]
        met[running] = crossed
        ahead = phi.abs() if domain.exact else domain.distance_lower_bound(point)
        ahead = torch.where(crossed, 0.0, ahead.clamp(min=least * 10 ** min(step // 128, 2)))
        last[running] = torch.where(crossed, last[running], t[running])
        t[running] += ahead
    for _ in range(60):
        middle = 0.5 * (last + t)
        beyond = (domain.sdf(x + middle[:, None] * v) > 0) != start
        last, t = torch.where(beyond, last, middle), torch.where(beyond, middle, t)
    found = domain.project(x + torch.where(met, t, 0.0)[:, None] * v)
    return hit(x, v, torch.where(met, t, math.inf), found.normal, found.tag, tmax)


def measure(domain: Region) -> float:
    """Return the volume as the share of 2^16 Sobol points of the bounds that lie inside.

    Args:
        domain: A domain; the measure is infinite if its bounds are.
    """
    sides = [high - low for low, high in domain.bounds]
    if not all(math.isfinite(side) for side in sides):
        return math.inf
    points = cube_stream(domain.dim, "sobol", torch.Generator().manual_seed(0))(1 << 16)
    return math.prod(sides) * float(domain.inside(in_bounds(points, domain.bounds)).double().mean())


def _shell(domain: Region, u: Tensor, width: float) -> tuple[Tensor, Tensor]:
    """Map the unit cube to the bounds widened by the shell; tell which points lie in the shell |φ|/|∇φ| < width."""
    lower, upper = u.new_tensor(domain.bounds).T
    x = lower - width + (upper - lower + 2 * width) * u
    phi, slope = gradient(domain, x)
    return x, phi.abs() < width * slope.norm(dim=1)


def boundary_measure(domain: Region) -> float:
    """Return the perimeter or area as the volume of a thin shell over its thickness, by 2^16 Sobol points.

    Args:
        domain: A domain; the measure is infinite if its bounds are.
    """
    if not math.isfinite(domain.diameter):
        return math.inf
    width = SHELL * domain.diameter
    u = cube_stream(domain.dim, "sobol", torch.Generator().manual_seed(0))(1 << 16)
    volume = math.prod(high - low + 2 * width for low, high in domain.bounds)
    return volume * float(_shell(domain, u, width)[1].double().mean()) / (2 * width)


def sample_boundary(domain: Region, count: int, method: Method, generator: torch.Generator) -> Tensor:
    """Draw points of a thin shell and move them to the boundary; uniform up to (shell width × curvature)².

    Args:
        domain: The domain.
        count: Number of points.
        method: "random" or "sobol".
        generator: Source of randomness.

    Raises:
        UsageError: If the domain is unbounded.
    """
    if not math.isfinite(domain.diameter):
        raise UsageError(
            f"the {type(domain).__name__} is unbounded; intersect it with a bounded domain, e.g. a Box"
        )
    draw, width = cube_stream(domain.dim, method, generator), SHELL * domain.diameter
    points = reject(
        count,
        lambda n: _shell(domain, draw(n), width)[0],
        lambda x: (lambda found: found[0].abs() < width * found[1].norm(dim=1))(gradient(domain, x)),
        f"the boundary layer of the {type(domain).__name__}",
    )
    return to_boundary(domain, points)
