"""Weighted points: measures, low discrepancy, boundary parts, space-time, meshes."""

import math

import pytest
import torch

from pdeflow.errors import UsageError
from pdeflow.geometry.domain import Box
from pdeflow.geometry.domain.ball import Annulus, Ball
from pdeflow.geometry.domain.polygon import Polygon
from pdeflow.geometry.mesh import Mesh
from pdeflow.geometry.meshed_domain import MeshDomain
from pdeflow.geometry.sampling import PointSet, SpaceTime, boundary_points, interior_points, mesh_points
from pdeflow.geometry.simplices import points_in_simplices

L_SHAPE = Polygon(torch.tensor([[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]], dtype=torch.float64))
DOMAINS = [Box((0.0, 0.0), (2.0, 1.0)), Ball((1.0, -1.0), 0.5), Annulus((0.0, 0.0), 0.5, 1.0), L_SHAPE]
MEASURES = [(2.0, 6.0), (math.pi / 4, math.pi), (0.75 * math.pi, 3 * math.pi), (3.0, 8.0)]
CASES = pytest.mark.parametrize(
    ("domain", "measure"), list(zip(DOMAINS, MEASURES, strict=True)), ids=lambda v: type(v).__name__
)
SETTINGS = {"tri": (6, 4), "quad": (6, 4), "tet": (3, 2, 2), "hex": (3, 2, 2)}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rms(values):
    return math.sqrt(sum(v * v for v in values) / len(values))


@CASES
@pytest.mark.parametrize("method", ["sobol", "random"])
def test_interior_weights_sum_to_the_measure_and_points_lie_inside(domain, measure, method):
    points = interior_points(domain, 500, method, generator=seeded())
    assert float(points.w.sum()) == pytest.approx(measure[0], rel=1e-12)
    assert len(points) == 500
    assert bool(domain.inside(points.x).all())


@CASES
def test_boundary_weights_sum_to_the_measure_of_each_part(domain, measure):
    points = boundary_points(domain, 301, generator=seeded())
    assert float(points.w.sum()) == pytest.approx(measure[1], rel=1e-12)
    for i, name in enumerate(domain.tags):
        assert float(points.w[points.tag == i].sum()) == pytest.approx(
            domain.boundary_measure(name), rel=1e-12
        )
    assert float(domain.distance(points.x).max()) < 1e-14 * 4
    step = 1e-6 * points.normal
    assert bool((domain.sdf(points.x + step) > 0).all())
    assert bool((domain.sdf(points.x - step) < 0).all())


@CASES
def test_divergence_theorem_holds_for_the_two_kinds_of_points(domain, measure):
    rim = boundary_points(domain, 4096, generator=seeded())
    flux = (rim.w * (rim.x * rim.normal).sum(dim=1)).sum()  # div x = 2
    assert float(flux) == pytest.approx(2 * measure[0], rel=2e-3)


@CASES
def test_sobol_integrates_three_times_better_than_random(domain, measure):
    def integral(method, seed, count):
        points = interior_points(domain, count, method, generator=seeded(seed))
        return float((points.w * (points.x[:, 0] + points.x[:, 1].square()).exp()).sum())

    exact = integral("sobol", 99, 1 << 18)
    sobol, random = ([integral(m, s, 4096) - exact for s in range(12)] for m in ("sobol", "random"))
    assert rms(sobol) <= rms(random) / 3


def test_equal_generators_give_equal_points_and_others_do_not():
    a, b, c = (interior_points(DOMAINS[1], 64, generator=seeded(s)).x for s in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_every_part_gets_points_in_proportion_to_its_length():
    long = Box((0.0, 0.0), (100.0, 1.0))
    points = boundary_points(long, 204, generator=seeded())
    assert torch.bincount(points.tag.long()).tolist() == [2, 2, 100, 100]
    one = boundary_points(long, 7, tags="x0+", generator=seeded())
    assert torch.equal(one.x[:, 0], torch.full((7,), 100.0).double())
    assert float(one.w.sum()) == pytest.approx(1.0)
    with pytest.raises(UsageError, match=r"4 boundary parts.*count 3"):
        boundary_points(long, 3, generator=seeded())


@pytest.mark.parametrize("cell_type", SETTINGS)
def test_mesh_points_are_uniform_over_cells_of_unequal_size(cell_type):
    mesh = Mesh.box(SETTINGS[cell_type], cell_type=cell_type)
    warped = Mesh(mesh.points.square(), mesh.cells, cell_type)
    points = mesh_points(warped, 4096, generator=seeded())
    assert float(points.w.sum()) == pytest.approx(1.0, abs=1e-12)
    torch.testing.assert_close(
        points.x.mean(dim=0), torch.full((warped.dim,), 0.5).double(), atol=4e-3, rtol=0
    )
    torch.testing.assert_close(
        points.x.var(dim=0), torch.full((warped.dim,), 1 / 12).double(), atol=4e-3, rtol=0
    )


def test_spacings_give_uniform_barycentric_coordinates():
    corners = torch.eye(3, dtype=torch.float64)[None]  # the barycentric coordinates are the points
    points = points_in_simplices(corners, torch.rand(40_000, 3, generator=seeded(), dtype=torch.float64))
    assert bool((points >= 0).all())
    torch.testing.assert_close(points.mean(dim=0), torch.full((3,), 1 / 3).double(), atol=5e-3, rtol=0)
    torch.testing.assert_close(
        points.var(dim=0), torch.full((3,), 1 / 18).double(), atol=1e-3, rtol=0
    )  # Dirichlet


SPACE_TIME = [SpaceTime(domain, -1.0, 2.0) for domain in (*DOMAINS, MeshDomain(Mesh.disk(0.3)))]


@pytest.mark.parametrize("cylinder", SPACE_TIME, ids=lambda c: type(c.domain).__name__)
def test_space_time_sets_have_times_and_weights_of_their_measure(cylinder):
    domain = cylinder.domain
    inner = cylinder.interior_points(512, generator=seeded())
    rim = cylinder.boundary_points(256, generator=seeded())
    start = cylinder.initial_points(100, generator=seeded())
    assert float(inner.w.sum()) == pytest.approx(3 * domain.measure(), rel=1e-12)
    assert float(rim.w.sum()) == pytest.approx(3 * domain.boundary_measure(), rel=1e-12)
    assert float(start.w.sum()) == pytest.approx(domain.measure(), rel=1e-12)
    assert set(start.t.tolist()) == {-1.0}
    assert inner.coordinates().shape == (512, 3)
    for points in (inner, rim):
        assert -1 <= float(points.t.min()) < float(points.t.max()) <= 2
        assert float(points.t.mean()) == pytest.approx(0.5, abs=0.02)
        centred = points.x - (points.w[:, None] * points.x).sum(dim=0) / points.w.sum()
        assert (
            float((centred * (points.t - 0.5)[:, None]).mean(dim=0).abs().max()) < 0.2
        )  # space and time independent


def test_space_time_sobol_fills_space_and_time_jointly():
    cylinder = SpaceTime(Ball((0.0, 0.0), 1.0), 0.0, 1.0)

    def integral(method, seed, count=2048):
        points = cylinder.interior_points(count, method, generator=seeded(seed))
        return float((points.w * (3 * points.x[:, 0] * points.t).sin().square()).sum())

    exact = integral("sobol", 99, 1 << 17)
    sobol, random = ([integral(m, s) - exact for s in range(12)] for m in ("sobol", "random"))
    assert rms(sobol) <= rms(random) / 3


def test_a_thin_domain_warns_and_a_mesh_of_it_does_not():
    thin = Polygon(torch.tensor([[0, 0], [1, 1], [1, 1.004], [0, 0.004]], dtype=torch.float64))
    with pytest.warns(UserWarning, match=r"fills 0.4 % of its bounding box.*MeshDomain"):
        points = interior_points(thin, 50, generator=seeded())
    assert len(points) == 50


def test_subsets_unions_and_shuffles_keep_rows_together():
    points = boundary_points(DOMAINS[0], 40, generator=seeded())
    both = points.subset(points.tag == 1).concat(points.subset(points.tag != 1))
    assert float(both.w.sum()) == pytest.approx(6.0)
    mixed = both.shuffle(seeded())
    order = mixed.x[:, 0] + 10 * mixed.x[:, 1]
    same = both.x[:, 0] + 10 * both.x[:, 1]
    assert torch.equal(mixed.tag[order.argsort()], both.tag[same.argsort()])
    assert mixed.to(dtype=torch.float32).x.dtype == torch.float32
    assert mixed.to(dtype=torch.float32).tag.dtype == torch.int16
    with pytest.raises(UsageError, match="cannot join point sets with x, w, normal, tag and with x, w"):
        points.concat(interior_points(DOMAINS[0], 4, generator=seeded()))
    with pytest.raises(UsageError, match="one row of the rest per point"):
        PointSet(torch.zeros(3, 2), torch.zeros(4))


def test_wrong_requests_are_refused():
    with pytest.raises(UsageError, match="at least 1, got 0"):
        interior_points(DOMAINS[0], 0, generator=seeded())
    with pytest.raises(UsageError, match="t0 < t1"):
        SpaceTime(DOMAINS[0], 1.0, 1.0)
