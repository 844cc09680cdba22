"""Spaces and matrices: equality with a fresh scikit-fem assembly, exact integrals, evaluation."""

import numpy as np
import pytest
import skfem
import torch
from fem_cases import a, bent, square, u
from skfem.helpers import dot, grad

from pdeflow.discretization.finite_element import FEMSpace, condense, eliminate, space_on
from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.mesh import Mesh

CASES = [("P1", "tri"), ("P2", "tri"), ("Q1", "quad"), ("Q2", "quad"), ("P1", "tet"), ("P2", "tet"), ("Q1", "hex"), ("Q2", "hex"),
         ("P1", "line"), ("P2", "line")]  # fmt: skip


def mesh_of(cell_type):
    dim = {"line": 1, "tri": 2, "quad": 2, "tet": 3, "hex": 3}[cell_type]
    mesh = Mesh.box((6,) * dim if dim < 3 else (3,) * dim, cell_type=cell_type)
    return mesh if dim == 1 else bent(mesh)


@skfem.BilinearForm
def diffusion(v, w, p):
    return p.a * dot(grad(v), grad(w))


@skfem.BilinearForm
def transport(v, w, p):
    return p.a * grad(v)[0] * w


@skfem.BilinearForm
def product(v, w, p):
    return p.a * v * w


@pytest.mark.parametrize(("element", "cell_type"), CASES)
def test_refilled_matrices_equal_a_fresh_scikit_fem_assembly(element, cell_type):
    space = FEMSpace(mesh_of(cell_type), element)
    basis = skfem.Basis(space.mesh.to_skfem(), space.skfem_element, intorder=space.order)
    x = space.quadrature_points
    speed = torch.zeros(*x.shape, dtype=torch.float64)
    for shift in (0.0, 1.0):  # the second coefficient goes through the kept tables
        values = torch.exp(x.sum(-1) + shift)
        speed[..., 0] = values
        pairs = [
            (space.stiffness(values), diffusion),
            (space.mass(values), product),
            (space.convection(speed), transport),
        ]
        for ours, form in pairs:
            theirs = form.assemble(basis, a=values.numpy())
            assert abs(ours - theirs).max() <= 3e-15 * abs(theirs).max()


@pytest.mark.parametrize(("element", "cell_type"), CASES)
def test_coefficients_per_cell_per_point_and_as_function_agree(element, cell_type):
    space = FEMSpace(mesh_of(cell_type), element)
    cells = 1 + torch.rand(len(space.dofs), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    points = cells[:, None].expand(space.quadrature_points.shape[:2])
    tensor = points[..., None, None] * torch.eye(space.dim, dtype=torch.float64)
    expected = space.stiffness(cells)
    for other in (points, tensor, lambda x: points.reshape(-1)):
        assert abs(space.stiffness(other) - expected).max() <= 3e-15 * abs(expected).max()


@pytest.mark.parametrize(("element", "cell_type"), CASES)
def test_integrals_of_the_basis_are_exact(element, cell_type):
    space = FEMSpace(mesh_of(cell_type), element)
    volume = float(space.mesh.cell_measure().sum())
    ones, x = np.ones(space.n), space.points.numpy()
    assert space.measure.sum() == pytest.approx(volume, rel=1e-13)
    assert space.load(1.0).sum() == pytest.approx(volume, rel=1e-13)
    np.testing.assert_allclose(space.mass() @ ones, space.load(1.0), atol=1e-15)
    np.testing.assert_allclose(space.stiffness(2.0) @ ones, 0, atol=1e-13)
    assert x[:, 0] @ space.stiffness(2.0) @ x[:, 0] == pytest.approx(2 * volume, rel=1e-12)
    weights = torch.from_numpy(space.measure)
    f = torch.sin(space.quadrature_points.sum(-1))
    assert space.load(f).sum() == pytest.approx(float((weights * f).sum()), rel=1e-13)


@pytest.mark.parametrize(("element", "cell_type"), CASES)
def test_polynomials_of_the_degree_are_evaluated_exactly(element, cell_type):
    dim = {"line": 1, "tri": 2, "quad": 2, "tet": 3, "hex": 3}[cell_type]
    mesh = Mesh.box((4,) * dim, cell_type=cell_type)
    space = FEMSpace(mesh if cell_type in ("quad", "hex", "line") else bent(mesh), element)

    def polynomial(x):
        return (x.sum(-1) - 0.3) ** space.degree

    x = 0.15 + 0.7 * torch.rand(40, dim, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = space.interpolate(polynomial)
    torch.testing.assert_close(space.evaluate(found, x), polynomial(x), atol=1e-12, rtol=0)
    torch.testing.assert_close(
        space.evaluate(torch.stack([found, -found]), x)[1], -polynomial(x), atol=1e-12, rtol=0
    )
    assert space.error(found, polynomial, "H1") < 1e-12


def test_vertices_come_first_and_boundary_dofs_lie_on_their_side():
    mesh = square(5, "P2", curved=False)
    space = space_on(mesh, "P2")
    assert space is space_on(mesh, "P2")
    assert torch.equal(space.points[: mesh.n_points], mesh.points)
    on_side = torch.nonzero(space.points[:, 0] == 1.0).flatten()
    assert torch.equal(space.boundary_dofs("x0+"), on_side)
    assert torch.equal(
        space.boundary_dofs(), torch.unique(torch.cat([space.boundary_dofs(t) for t in mesh.facet_tags]))
    )


def test_a_returned_matrix_may_be_changed_in_place():
    space = FEMSpace(square(4, "P1", curved=False), "P1")
    first = space.stiffness()
    expected = first.copy()
    first.data[:] = 0.0
    first.eliminate_zeros()
    assert abs(space.stiffness() - expected).max() == 0.0


def test_elimination_and_condensation_of_any_matrix_agree():
    space = FEMSpace(square(4, "Q1"), "Q1")
    matrix, b = space.stiffness(a), space.load(1.0)
    dofs = space.boundary_dofs().numpy()
    values = space.interpolate(u).numpy()[dofs]
    small = condense(matrix, b, dofs, values)
    A, right = eliminate(matrix, b, dofs, values)
    expected = small.expand(np.linalg.solve(small.A.toarray(), small.b))
    np.testing.assert_allclose(np.linalg.solve(A.toarray(), right), expected, atol=1e-12)
    np.testing.assert_allclose(expected[dofs], values)


def test_wrong_spaces_and_arguments_are_refused():
    mesh = square(3, "P1")
    with pytest.raises(UsageError, match="'Q1' does not live on tri cells; they take 'P1', 'P2'"):
        FEMSpace(mesh, "Q1")
    flipped = Mesh(mesh.points, mesh.cells[:, [0, 2, 1]], "tri")
    with pytest.raises(DataError, match="inverted"):
        FEMSpace(flipped, "P1")
    space = FEMSpace(mesh, "P1")
    with pytest.raises(UsageError, match="1 of 2 points lie outside the mesh, first"):
        space.evaluate(np.zeros(space.n), torch.tensor([[0.5, 0.5], [3.0, 0.5]]))
    with pytest.raises(UsageError, match="expected"):
        space.evaluate(np.zeros(3), torch.tensor([[0.5, 0.5]]))
    with pytest.raises(UsageError, match="unknown"):
        space.error(np.zeros(space.n), u, "L1")
    with pytest.raises(UsageError, match="ascending"):
        eliminate(space.mass(), space.load(), np.array([2, 1]), np.zeros(2))
