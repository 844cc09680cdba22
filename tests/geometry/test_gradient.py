"""Orders and exactness of the gradients on meshes and point clouds."""

import pytest
import torch
from gradient_cases import gradient_errors, perturbed, rates, unit_cell

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient import gradient
from pdeflow.geometry.grid import Grid
from pdeflow.geometry.mesh import Mesh

MESHES = {
    "line": lambda: perturbed(Mesh.box((9,), cell_type="line"), 0.3),
    "tri": lambda: unit_cell(9, jitter=0.2),
    "quad": lambda: perturbed(Mesh.box((7, 6), cell_type="quad"), 0.2),
    "tet": lambda: perturbed(Mesh.box((5, 4, 4), cell_type="tet"), 0.15),
    "hex": lambda: perturbed(Mesh.box((4, 4, 5), cell_type="hex"), 0.15),
}


def linear(x):
    return x @ torch.arange(1.0, 1 + x.shape[1]).to(x)[:, None] + 3


def quadratic(x):
    """x·Q x / 2 + the linear function, and its gradient."""
    d = x.shape[1]
    q = torch.arange(float(d * d), dtype=torch.float64).reshape(d, d)
    q = q + q.T
    return ((x @ q) * x).sum(1, keepdim=True) / 2 + linear(x), x @ q + torch.arange(1.0, 1 + d).to(x)


@pytest.fixture(scope="module")
def cells():
    return [unit_cell(n) for n in (22, 43, 86)]


@pytest.mark.parametrize(
    ("method", "low", "high"), [("avg", 1.2, 1.8), ("wls1", 1.2, 1.8), ("wls2", 1.85, 2.15)]
)
def test_gradients_converge_at_their_order_up_to_the_boundary(cells, method, low, high):
    errors = [gradient_errors(gradient(m, method), m.points, m.node_weights()) for m in cells]
    assert all(low < rate < high for rate in rates([e[0] for e in errors])), errors
    assert (
        errors[-1][0] < {"avg": 2.3e-3, "wls1": 2.0e-3, "wls2": 3.8e-4}[method]
    )  # measured before, plus a twentieth
    if method == "wls2":
        assert (
            rates([errors[0][1], errors[2][1]])[0] > 2 * 1.75
        )  # over two halvings, largest error, boundary included


def test_only_wls2_keeps_its_order_on_a_rough_mesh():
    meshes = [unit_cell(n, jitter=0.3) for n in (43, 86)]
    order = {
        method: rates([gradient_errors(gradient(m, method), m.points, m.node_weights())[0] for m in meshes])[
            0
        ]
        for method in ("avg", "wls1", "wls2")
    }
    assert order["wls2"] > 1.85
    assert 0.9 < order["avg"] < 1.3
    assert 0.9 < order["wls1"] < 1.3


@pytest.mark.parametrize("method", ["cell", "avg", "wls1", "wls2"])
@pytest.mark.parametrize("kind", MESHES)
def test_gradients_are_exact_on_linear_functions(kind, method):
    mesh = MESHES[kind]()
    g = gradient(mesh, method)(linear(mesh.points))[:, 0]
    torch.testing.assert_close(g, torch.arange(1.0, 1 + mesh.dim).to(g).expand_as(g), atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", MESHES)
def test_wls2_is_exact_on_quadratic_functions(kind):
    mesh = MESHES[kind]()
    u, expected = quadratic(mesh.points)
    torch.testing.assert_close(gradient(mesh, "wls2")(u)[:, 0], expected, atol=1e-10, rtol=0)


def test_wls2_is_exact_on_cells_a_thousand_times_longer_than_wide():
    mesh = unit_cell(9, jitter=0.2)
    stretched = Mesh(mesh.points * torch.tensor([1.0, 1e-3], dtype=torch.float64), mesh.cells, "tri")
    u, expected = quadratic(stretched.points)
    torch.testing.assert_close(gradient(stretched, "wls2")(u)[:, 0], expected, atol=1e-8, rtol=0)


def test_wls2_on_tetrahedra_has_order_two():
    meshes = [perturbed(Mesh.box((n, n, n), cell_type="tet"), 0.15) for n in (6, 12, 24)]
    errors = [gradient_errors(gradient(m), m.points, m.node_weights())[0] for m in meshes]
    assert rates(errors)[-1] == pytest.approx(2.0, abs=0.15), errors


def test_a_cloud_of_points_has_gradients_of_order_two_too():
    clouds = [unit_cell(n, jitter=0.3).points for n in (22, 43, 86)]
    errors = [gradient_errors(gradient(x), x, torch.ones(len(x), dtype=torch.float64))[0] for x in clouds]
    assert all(1.8 < rate < 2.3 for rate in rates(errors)), errors
    u, expected = quadratic(clouds[0])
    torch.testing.assert_close(gradient(clouds[0])(u)[:, 0], expected, atol=1e-10, rtol=0)


def test_cell_gradients_have_one_row_per_cell_and_avg_is_their_weighted_mean():
    mesh = unit_cell(9, jitter=0.2)
    u = torch.randn(mesh.n_points, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    per_cell = gradient(mesh, "cell")(u)[:, 0]  # (m, d)
    share = (mesh.cell_measure() / 3)[:, None]
    total = torch.zeros(mesh.n_points, 2, dtype=torch.float64)
    for corner in range(3):
        total.index_add_(0, mesh.cells[:, corner], share * per_cell)
    mean = total / mesh.node_weights()[:, None]
    torch.testing.assert_close(gradient(mesh, "avg")(u)[:, 0], mean, atol=1e-12, rtol=0)


def test_meshes_without_a_gradient_are_refused_with_the_reason():
    strip = Mesh.rectangle((8, 1))
    with pytest.raises(UsageError, match=r"neighbours of point 0 fix no polynomial of degree 2.*wls1 or avg"):
        gradient(strip, "wls2")
    assert gradient(strip, "wls1").order == 1
    twin = Mesh(torch.cat([strip.points, strip.points[:1]]), torch.tensor([[0, 1, 2], [18, 1, 3]]), "tri")
    with pytest.raises(UsageError, match="points 0 and 18 coincide"):
        gradient(Mesh(twin.points, torch.cat([strip.cells, torch.tensor([[0, 18, 3]])]), "tri"), "wls1")
    flat = Mesh(torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]), torch.tensor([[0, 1, 2]]), "tri")
    with pytest.raises(UsageError, match="cell 0 has no volume"):
        gradient(flat, "avg")
    surface = Mesh(torch.eye(3), torch.tensor([[0, 1, 2]]), "tri")
    for method in ("wls1", "avg"):
        with pytest.raises(UsageError, match="tri cells in 3-D"):
            gradient(surface, method)
    with pytest.raises(UsageError, match="'wls2' does not fit a Grid"):
        gradient(Grid.unit((8, 8)), "wls2")
    with pytest.raises(UsageError, match="'spectral' does not fit a Mesh"):
        gradient(strip, "spectral")
    with pytest.raises(UsageError, match=r"n > 10, got \(5, 2\)"):
        gradient(torch.rand(5, 2))
