"""Point location and interpolation: exact on linear functions, brute force, scikit-fem, stretched meshes and holes."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_cases import TYPES, named_box, seeded

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh import Mesh


def warped_box(cell_type, seed):
    """Inner points move, the boundary stays: the mesh covers exactly the box."""
    mesh, moved = named_box(cell_type), named_box(cell_type, warp=0.5, seed=seed).points
    moved[mesh.boundary_nodes()] = mesh.points[mesh.boundary_nodes()]
    return replace(mesh, points=moved)


def points_in_box(mesh, count, seed):
    low, high = mesh.points.amin(dim=0), mesh.points.amax(dim=0)
    return low + (high - low) * torch.rand(count, mesh.dim, generator=seeded(seed)).double()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), cell_type=st.sampled_from(TYPES))
def test_interpolation_is_exact_on_linear_functions(seed, cell_type):
    mesh = warped_box(cell_type, seed)
    x = points_in_box(mesh, 200, seed + 1)
    slope = torch.randn(mesh.dim, generator=seeded(seed)).double()
    cell, weights = mesh.locate(x)
    assert (cell >= 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(200).double(), atol=1e-13, rtol=0)
    assert float(weights.min()) > -1e-9
    values = mesh.interpolate(mesh.points @ slope + 0.7, x)
    torch.testing.assert_close(values, x @ slope + 0.7, atol=1e-12, rtol=0)


@pytest.mark.parametrize("cell_type", TYPES)
def test_vertices_centroids_and_the_rim_are_found(cell_type):
    mesh = warped_box(cell_type, 3)
    cell, weights = mesh.locate(mesh.points)
    vertex = mesh.cells[cell].gather(1, weights.argmax(dim=1, keepdim=True)).flatten()
    assert torch.equal(vertex, torch.arange(mesh.n_points))
    assert torch.equal(mesh.locate(mesh.centroids())[0], torch.arange(mesh.n_cells))


@pytest.mark.parametrize("cell_type", TYPES)
def test_points_outside_get_no_cell_and_nan(cell_type):
    mesh = warped_box(cell_type, 3)
    x = torch.full((3, mesh.dim), 0.5, dtype=torch.float64)
    x[0, 0], x[1, 0] = 1.0 + 1e-6, float("nan")
    cell, weights = mesh.locate(x)
    assert (cell >= 0).tolist() == [False, False, True]
    assert float(weights[:2].abs().sum()) == 0.0
    assert mesh.interpolate(mesh.points[:, 0], x).isnan().tolist() == [True, True, False]
    assert mesh.interpolate(mesh.points[:, 0], x, outside=-1.0).tolist()[:2] == [-1.0, -1.0]


def test_location_equals_brute_force_on_a_mesh_with_a_hole_and_stretched_cells():
    radius = (1 + torch.linspace(0, 1, 20).double() ** 4)[None]  # layers down to 1e-5 at the inner rim
    angle = torch.arange(32).double()[:, None] * (2 * torch.pi / 32)
    place = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)
    mesh = Mesh.structured(place, "tri", periodic=(True, False))
    x = 2.2 * (2 * torch.rand(2000, 2, generator=seeded()).double() - 1)
    x[:500] *= (1 + 1e-3 * torch.rand(500, 1, generator=seeded()).double()) / x[:500].norm(
        dim=1, keepdim=True
    )
    cell, _ = mesh.locate(x)
    a, b, c = mesh.points[mesh.cells].unbind(dim=1)

    def area(p, q):
        return (q - p)[..., 0] * (x[:, None] - p)[..., 1] - (q - p)[..., 1] * (x[:, None] - p)[..., 0]

    margin = torch.minimum(torch.minimum(area(a, b), area(b, c)), area(c, a)) / (2 * mesh.cell_measure())
    assert torch.equal(cell >= 0, (margin >= -1e-10).any(dim=1))
    inside = cell >= 0
    assert 0.3 < float(inside.double().mean()) < 0.9
    assert float(margin[torch.arange(2000), cell][inside].min()) > -1e-9


def test_location_agrees_with_scikit_fem():
    mesh = warped_box("tri", 1)
    x = points_in_box(mesh, 500, 2)
    theirs = torch.as_tensor(mesh.to_skfem().element_finder()(*x.numpy().T)).long()
    assert torch.equal(mesh.locate(x)[0], theirs)


def test_bilinear_interpolation_follows_the_map():
    mesh = warped_box("quad", 5)
    xi = torch.rand(mesh.n_cells, 2, generator=seeded()).double()
    shape = mesh.reference.shape_functions(xi)
    x = torch.einsum("mk,mkd->md", shape, mesh.points[mesh.cells])
    cell, weights = mesh.locate(x)
    assert torch.equal(cell, torch.arange(mesh.n_cells))
    torch.testing.assert_close(weights, shape, atol=1e-11, rtol=0)


def test_gradients_flow_through_values_and_batches_and_dtypes_pass():
    mesh = warped_box("tri", 2)
    x = points_in_box(mesh, 50, 0)
    u = torch.randn(2, 3, mesh.n_points, generator=seeded()).double().requires_grad_()
    values = mesh.interpolate(u, x)
    assert values.shape == (2, 3, 50)
    values.sum().backward()
    torch.testing.assert_close(u.grad.sum(dim=-1), torch.full((2, 3), 50.0).double())
    assert mesh.interpolate(u.detach().float(), x).dtype == torch.float32
    assert mesh.interpolate(u.detach() * 1j, x).dtype == torch.complex128
    assert mesh.interpolate(torch.ones(mesh.n_points, dtype=torch.int64), x).sum() == pytest.approx(50.0)


def test_wrong_points_and_values_are_named():
    mesh = named_box("tri")
    with pytest.raises(UsageError, match=r"the mesh is 2-D but the points have shape \(4, 3\)"):
        mesh.locate(torch.zeros(4, 3))
    with pytest.raises(UsageError, match="u has 4 values on its last axis but the mesh has 30 points"):
        mesh.interpolate(torch.zeros(4), torch.zeros(1, 2))
    with pytest.raises(UsageError, match="cells that fill the space"):
        mesh.boundary().locate(torch.zeros(1, 2))
