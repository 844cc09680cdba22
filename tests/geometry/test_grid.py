"""Wavenumbers, weights, layouts and meshes of uniform grids."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdeflow.errors import UsageError
from pdeflow.geometry.grid import Grid

GRIDS = st.builds(
    lambda sizes, low, periodic, location: Grid(
        tuple(sizes),
        tuple((low * k, low * k + 1.0 + k) for k in range(len(sizes))),
        tuple(p for p, _ in zip(periodic, sizes, strict=False)),
        location,
    ),
    st.lists(st.integers(2, 6), min_size=1, max_size=3),
    st.floats(-3, 3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.sampled_from(["cell", "node"]),
)


@given(GRIDS)
def test_weights_sum_to_the_measure_exactly(grid):
    measure = math.prod(high - low for low, high in grid.bounds)
    assert float(grid.weights().sum()) == pytest.approx(measure, rel=1e-13)
    assert tuple(grid.weights().shape) == grid.shape


@given(GRIDS)
def test_weights_integrate_linear_functions_exactly_on_axes_that_do_not_wrap(grid):
    for k in (k for k, wraps in enumerate(grid.periodic) if not wraps):
        low, high = grid.bounds[k]
        measure = math.prod(b - a for a, b in grid.bounds)
        integral = float((grid.weights() * grid.coordinates()[..., k]).sum())
        assert integral == pytest.approx(measure * (low + high) / 2, abs=1e-12)


@pytest.mark.parametrize("n", [7, 8])
@pytest.mark.parametrize("location", ["cell", "node"])
def test_wavenumbers_contain_two_pi_over_the_period(n, location):
    grid = Grid.uniform((n, 5), [(1.0, 4.0), (0.0, 1.0)], periodic=True, location=location)
    k, x = grid.wavenumbers(0), grid.axis(0)
    assert k[1].item() == pytest.approx(2 * math.pi / 3)
    u = torch.sin(2 * math.pi / 3 * x)
    derivative = torch.fft.ifft(1j * k * torch.fft.fft(u)).real
    torch.testing.assert_close(
        derivative, 2 * math.pi / 3 * torch.cos(2 * math.pi / 3 * x), atol=1e-13, rtol=0
    )
    half = grid.wavenumbers(0, real=True)
    assert half.shape == (n // 2 + 1,)
    torch.testing.assert_close(half, k[: n // 2 + 1].abs())
    with pytest.raises(UsageError, match="2 axes, got axis 2"):
        grid.wavenumbers(2)


@given(GRIDS)
def test_flatten_orders_points_as_the_coordinates_and_unflatten_undoes_it(grid):
    field = grid.coordinates().movedim(-1, 0)[None]  # (1, d, *shape): the coordinates as channels
    points = grid.flatten(field)
    assert torch.equal(points[0], grid.coordinates().reshape(-1, grid.ndim))
    assert torch.equal(grid.unflatten(points), field)
    with pytest.raises(UsageError, match="expected"):
        grid.flatten(torch.zeros(1, *[n + 1 for n in grid.shape]))
    with pytest.raises(UsageError, match="expected"):
        grid.unflatten(torch.zeros(1, grid.size + 1, 2))


def test_face_tags_are_the_values_next_to_the_face_and_periodic_axes_have_none():
    grid = Grid((3, 4), ((0.0, 1.0), (0.0, 1.0)), (False, True))
    assert {name: ids.tolist() for name, ids in grid.tags.items()} == {
        "x0-": [0, 1, 2, 3],
        "x0+": [8, 9, 10, 11],
    }
    for name, ids in Grid.unit((3, 4, 2), location="node").tags.items():
        points = Grid.unit((3, 4, 2), location="node").coordinates().reshape(-1, 3)[ids]
        assert (points[:, int(name[1])] == (1.0 if name[2] == "+" else 0.0)).all()


@pytest.mark.parametrize(
    ("shape", "cell"),
    [((5,), "line"), ((4, 3), "quad"), ((4, 3), "tri"), ((3, 2, 4), "hex"), ((3, 2, 4), "tet")],
)
def test_the_mesh_of_a_node_grid_has_its_nodes_as_points_and_that_of_a_cell_grid_its_cells(shape, cell):
    nodes = Grid.unit(shape, location="node")
    mesh = nodes.to_mesh(cell)
    torch.testing.assert_close(mesh.points, nodes.coordinates().reshape(-1, len(shape)))
    for name, ids in nodes.tags.items():
        assert mesh.boundary_nodes(name).tolist() == ids.tolist()
    cells = Grid.unit(shape).to_mesh(cell)
    assert cells.n_points == math.prod(n + 1 for n in shape)
    if cell in ("line", "quad", "hex"):
        torch.testing.assert_close(cells.centroids(), Grid.unit(shape).coordinates().reshape(-1, len(shape)))
    periodic = Grid.unit(shape, periodic=True, location="node").to_mesh(cell)
    assert float(periodic.cell_measure().sum()) == pytest.approx(1.0, abs=1e-13)
