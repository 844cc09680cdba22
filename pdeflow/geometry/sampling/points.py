"""Weighted points of a domain, its boundary, a mesh, and the product of a domain with a time interval."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.domain.arguments import check_generator, tag_ids
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Method, cube, cube_stream, reject
from pdeflow.geometry.meshed_domain import MeshDomain
from pdeflow.geometry.sampling.point_set import PointSet
from pdeflow.geometry.simplices import mesh_simplices, points_in_simplices, simplex_measure

if TYPE_CHECKING:
    from pdeflow.geometry.mesh.mesh import Mesh

THIN = 0.01
"""Share of its bounding box below which a domain is called thin."""


def interior_points(
    domain: Domain, count: int, method: Method = "sobol", *, generator: torch.Generator
) -> PointSet:
    """Draw points of a domain with equal weights measure/n.

    Args:
        domain: The domain.
        count: Number of points n.
        method: "sobol" (scrambled, low discrepancy, scrambling drawn from the generator) or "random".
        generator: Source of randomness.

    Returns:
        Points and weights; the weights sum to `domain.measure()`.

    Raises:
        UsageError: If count is below one, the method is unknown, or the domain is unbounded or nearly empty.
    """
    _check_count(count)
    measure = domain.measure()
    _warn_if_thin(domain, measure)
    return _equal_weights(domain.sample_interior(count, method, generator=generator), measure)


def boundary_points(
    domain: Domain,
    count: int,
    tags: str | Sequence[str] | None = None,
    method: Method = "sobol",
    *,
    generator: torch.Generator,
) -> PointSet:
    """Draw points of boundary parts, to each part in proportion to its length or area, at least one.

    Args:
        domain: The domain.
        count: Number of points n over all parts.
        tags: Names of the parts; all if None.
        method: "sobol" or "random".
        generator: Source of randomness.

    Returns:
        Points with weights (measure of the part over its number of points), outward normals and tags.

    Raises:
        UsageError: If a tag is unknown, or count is below the number of parts.
    """
    _check_count(count)
    ids = tag_ids(tags, domain.tags)
    measure = {i: domain.boundary_measure(domain.tags[i]) for i in ids}
    ids = [i for i in ids if measure[i] > 0]
    if count < len(ids) or not ids:
        raise UsageError(
            f"{len(ids)} boundary parts with a measure need at least one point each, got count {count}"
        )
    parts = []
    for i, n in zip(ids, _apportion(count, [measure[i] for i in ids]), strict=True):
        x = domain.sample_boundary(n, domain.tags[i], method, generator=generator)
        tag = torch.full((n,), i, dtype=torch.int16)
        parts.append(
            replace(_equal_weights(x, measure[i]), normal=domain.project(x).normal.detach(), tag=tag)
        )
    return parts[0].concat(*parts[1:])


def mesh_points(mesh: Mesh, count: int, method: Method = "sobol", *, generator: torch.Generator) -> PointSet:
    """Draw points of a mesh: a cell in proportion to its measure, then a place in it.

    Args:
        mesh: Mesh of any cell type; quadrilaterals and hexahedra are split into simplices.
        count: Number of points n.
        method: "sobol" or "random".
        generator: Source of randomness.

    Returns:
        Points with equal weights that sum to the measure of the mesh.

    Raises:
        UsageError: If count is below one or the method is unknown.
    """
    _check_count(count)
    corners = mesh_simplices(mesh)
    points = points_in_simplices(corners, cube(count, corners.shape[1], method, generator))
    return _equal_weights(points, float(simplex_measure(corners).sum()))


@dataclass(frozen=True)
class SpaceTime:
    """Product of a domain with a time interval.

    Attributes:
        domain: The domain in space.
        t0: First time.
        t1: Last time.
    """

    domain: Domain
    t0: float
    t1: float

    def __post_init__(self) -> None:
        if not -math.inf < self.t0 < self.t1 < math.inf:
            raise UsageError(f"a time interval needs t0 < t1, both finite, got {self.t0} and {self.t1}")

    def interior_points(
        self, count: int, method: Method = "sobol", *, generator: torch.Generator
    ) -> PointSet:
        """Draw points of Ω × (t0, t1); Sobol points fill space and time jointly.

        Args:
            count: Number of points n.
            method: "sobol" or "random".
            generator: Source of randomness.

        Returns:
            Points, times, and equal weights that sum to measure · duration.

        Raises:
            UsageError: As `interior_points`.
        """
        _check_count(count)
        measure = self.domain.measure()
        joint = method == "sobol" and self.domain.dim <= 3 and math.isfinite(self.domain.diameter)
        if joint and isinstance(self.domain, MeshDomain):
            corners = mesh_simplices(self.domain.mesh)
            u = cube(count, corners.shape[1] + 1, method, generator)
            x, time = points_in_simplices(corners, u[:, :-1]), u[:, -1]
        elif joint:
            _warn_if_thin(self.domain, measure)
            x, time = self._reject(count, generator)
        else:
            x = self.domain.sample_interior(count, method, generator=generator)
            time = _strata(count, generator)
        return self._over_time(_equal_weights(x, measure), time)

    def _reject(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        lower, upper = torch.tensor(self.domain.bounds, dtype=torch.float64).T
        stretch = torch.cat([upper - lower, upper.new_ones(1)])
        origin = torch.cat([lower, lower.new_zeros(1)])
        stream = cube_stream(self.domain.dim + 1, "sobol", generator)
        kept = reject(
            count,
            lambda n: origin + stretch * stream(n),
            lambda x: self.domain.inside(x[:, :-1]),
            f"the {type(self.domain).__name__}",
        )
        return kept[:, :-1], kept[:, -1]

    def boundary_points(
        self,
        count: int,
        tags: str | Sequence[str] | None = None,
        method: Method = "sobol",
        *,
        generator: torch.Generator,
    ) -> PointSet:
        """Draw points of ∂Ω × (t0, t1) with normals and tags; times are one to a stratum, in random order.

        Args:
            count: Number of points n over all parts.
            tags: Names of the parts; all if None.
            method: "sobol" or "random", in space.
            generator: Source of randomness.

        Raises:
            UsageError: As `boundary_points`.
        """
        points = boundary_points(self.domain, count, tags, method, generator=generator)
        return self._over_time(points, _strata(count, generator))

    def initial_points(self, count: int, method: Method = "sobol", *, generator: torch.Generator) -> PointSet:
        """Draw points of Ω at the time t0; the weights sum to the measure of Ω.

        Args:
            count: Number of points n.
            method: "sobol" or "random".
            generator: Source of randomness.

        Raises:
            UsageError: As `interior_points`.
        """
        points = interior_points(self.domain, count, method, generator=generator)
        return replace(points, t=torch.full_like(points.w, self.t0))

    def _over_time(self, points: PointSet, time: Tensor) -> PointSet:
        duration = self.t1 - self.t0
        return replace(points, w=points.w * duration, t=self.t0 + duration * time)


def _strata(count: int, generator: torch.Generator) -> Tensor:
    """Return one uniform number in each of n equal parts of (0, 1), in random order (Latin hypercube)."""
    place = torch.rand(count, generator=check_generator(generator), dtype=torch.float64)
    return (torch.randperm(count, generator=generator) + place) / count


def _equal_weights(x: Tensor, measure: float) -> PointSet:
    return PointSet(x, torch.full((len(x),), measure / len(x), dtype=torch.float64))


def _check_count(count: int) -> None:
    if count < 1:
        raise UsageError(f"the number of points must be at least 1, got {count}")


def _warn_if_thin(domain: Domain, measure: float) -> None:
    """Warn where rejection from the bounding box wastes almost everything."""
    box = math.prod(high - low for low, high in domain.bounds)
    if type(domain).sample_interior is Domain.sample_interior and measure < THIN * box < math.inf:
        warnings.warn(
            f"the {type(domain).__name__} fills {100 * measure / box:.2g} % of its bounding box, so nearly all points drawn "
            f"are rejected; sample a mesh of it instead: MeshDomain(mesh_domain(domain, h))",
            stacklevel=3,
        )


def _apportion(count: int, measures: list[float]) -> list[int]:
    """Split a count in proportion to measures (largest remainders), at least one each."""
    share = torch.tensor(measures, dtype=torch.float64)
    exact = (count - len(measures)) * share / share.sum()
    number = exact.floor()
    left = count - len(measures) - int(number.sum())
    number[(exact - number).argsort(descending=True, stable=True)[:left]] += 1
    return [1 + int(n) for n in number]
