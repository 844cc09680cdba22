"""The gather form against its sparse matrices, its transpose, and stacks of it."""

import numpy as np
import pytest
import torch
from gradient_cases import function, unit_cell

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient import GradientOperator, gradient
from pdeflow.geometry.grid import Grid
from pdeflow.geometry.mesh import Mesh

METHODS = ["cell", "avg", "wls1", "wls2"]


def values(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture(scope="module")
def mesh():
    return unit_cell(9, jitter=0.2)


@pytest.mark.parametrize("method", METHODS)
def test_the_gradient_of_a_constant_is_exactly_zero(mesh, method):
    assert not gradient(mesh, method)(torch.full((2, mesh.n_points, 3), 0.1, dtype=torch.float64)).any()


@pytest.mark.parametrize("method", METHODS)
def test_gather_scipy_and_torch_sparse_forms_agree(mesh, method):
    operator, u = gradient(mesh, method), values(mesh.n_points, 2)
    for axis in range(2):
        expected = operator(u)[..., axis]
        csr = torch.from_numpy(operator.csr(axis) @ u.numpy())
        torch.testing.assert_close(csr, expected, atol=1e-12, rtol=0)
        torch.testing.assert_close(operator.sparse(axis) @ u, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_backward_is_the_adjoint_and_the_transposed_matrix(mesh, method):
    operator = gradient(mesh, method)
    u = values(2, mesh.n_points, 3).requires_grad_()
    g = operator(u)
    cotangent = values(*g.shape)
    (backward,) = torch.autograd.grad(g, u, cotangent)
    torch.testing.assert_close(operator.adjoint(cotangent), backward, atol=1e-11, rtol=0)
    transposed = sum(operator.csr(axis).T @ cotangent[0, :, 0, axis].numpy() for axis in range(2))
    np.testing.assert_allclose(backward[0, :, 0].numpy(), transposed, atol=1e-11)


def test_a_stack_of_two_meshes_acts_as_its_members(mesh):
    meshes = [mesh, unit_cell(12)]
    members = [gradient(m) for m in meshes]
    stacked = GradientOperator.stack(members)
    u = torch.full((5, 2, meshes[1].n_points, 3), torch.nan, dtype=torch.float64)  # padding is never read
    for b, m in enumerate(meshes):
        u[:, b, : m.n_points] = values(5, m.n_points, 3)
    g = stacked(u)
    for b, (m, member) in enumerate(zip(meshes, members, strict=True)):
        assert torch.equal(g[:, b, : m.n_points], member(u[:, b, : m.n_points]))
        assert not g[:, b, m.n_points :].any()
    back = stacked.adjoint(g)
    for b, (m, member) in enumerate(zip(meshes, members, strict=True)):
        expected = member.adjoint(g[:, b, : m.n_points])
        torch.testing.assert_close(back[:, b, : m.n_points], expected, atol=1e-11, rtol=0)
    assert stacked.csr(0).shape == (2 * meshes[1].n_points, 2 * meshes[1].n_points)
    assert stacked.csr(0).nnz == sum(member.csr(0).nnz for member in members)


def test_cell_gradients_of_different_meshes_stack_as_well(mesh):
    meshes = [unit_cell(6), mesh]
    stacked = GradientOperator.stack([gradient(m, "cell") for m in meshes])
    u = torch.zeros(2, mesh.n_points, 1, dtype=torch.float64)
    u[0, : meshes[0].n_points], u[1] = function(meshes[0].points), function(mesh.points)
    expected = gradient(meshes[0], "cell")(function(meshes[0].points))
    assert torch.equal(stacked(u)[0, : meshes[0].n_cells], expected)


def test_single_precision_values_give_single_precision_gradients(mesh):
    operator = gradient(mesh)
    u = function(mesh.points)
    g = operator(u.float())
    assert g.dtype == torch.float32
    torch.testing.assert_close(
        g.double(), operator(u), atol=2e-4, rtol=0
    )  # float32 rounding over the mesh size
    assert operator.to(dtype=torch.float32).coeff.dtype == torch.float32


def test_second_derivatives_of_a_loss_exist(mesh):
    operator = gradient(unit_cell(5))
    u = values(operator.n_points, 1).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda v: operator(v) ** 2, (u,))


def test_wrong_shapes_are_refused_with_the_expected_ones(mesh):
    operator = gradient(mesh)
    with pytest.raises(UsageError, match=rf"\(..., {mesh.n_points}, channels\), got \(7, 1\)"):
        operator(torch.zeros(7, 1))
    with pytest.raises(UsageError, match="channels, 2"):
        operator.adjoint(torch.zeros(mesh.n_points, 1, 3))
    with pytest.raises(UsageError, match=r"dimensions \[2, 1\]"):
        GradientOperator.stack([operator, gradient(Grid.unit((8,)))])
    with pytest.raises(UsageError, match="index"):
        GradientOperator.at_points(torch.zeros(3, 2, dtype=torch.int64), torch.zeros(3, 3, 2))


def test_a_large_mesh_keeps_few_neighbours_per_point():
    assert gradient(Mesh.rectangle((40, 40))).index.shape[1] <= 18
