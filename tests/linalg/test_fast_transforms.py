"""Fast transforms invert constant coefficients on a box to rounding, and precondition variable ones."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.discretization.boundary import Dirichlet, Neumann, Robin
from pdeflow.discretization.finite_difference import finite_difference_system
from pdeflow.discretization.finite_volume import diffusion_system, elliptic_system
from pdeflow.geometry import Grid
from pdeflow.linalg.box_operator import NO_BOX, BoxOperator, box_of, box_operator
from pdeflow.linalg.cg import cg
from pdeflow.linalg.fast_transforms import fast_preconditioner, fast_solver
from pdeflow.linalg.iteration import Limits
from pdeflow.linalg.system import LinearSystem

SIDES = {"D": Dirichlet(0.5), "N": Neumann(0.3), "R": Robin(2.0, 1.0)}
EPS = np.finfo(float).eps


def box_system(shape, kinds, reaction=0.0, location="cell", a=2.0):
    """kinds: per axis "P" for periodic, or the letters of its two sides."""
    grid = Grid(
        shape,
        tuple((0.0, 1.0 + k) for k in range(len(shape))),
        tuple(kind == "P" for kind in kinds),
        location,
    )
    boundary = {
        f"x{k}{side}": SIDES[letter]
        for k, kind in enumerate(kinds) if kind != "P" for side, letter in zip("-+", kind, strict=True)
    }  # fmt: skip
    assemble = elliptic_system if location == "cell" else finite_difference_system
    source = torch.from_numpy(np.random.default_rng(1).standard_normal(shape))
    return assemble(grid, torch.tensor(a, dtype=torch.float64), source, boundary, reaction=reaction or None)


def solver_of(system):
    return fast_solver(box_operator(system.A, box_of(system)))


def error(system, x):
    exact = sla.splu(sp.csc_matrix(system.A)).solve(system.b)
    return np.linalg.norm(x - exact) / np.linalg.norm(exact)


@pytest.mark.parametrize(
    ("shape", "kinds", "name"),
    [
        ((31,), ("DD",), "DST-II"),
        ((31,), ("DN",), "DST-IV"),
        ((31,), ("ND",), "DCT-IV"),
        ((24, 17), ("DD", "DD"), "DST-II x DST-II"),
        ((24, 17), ("NN", "DN"), "DCT-II x DST-IV"),
        ((24, 17), ("P", "DD"), "FFT x DST-II"),
        ((24, 17), ("RD", "P"), "dense x FFT"),
        ((9, 8, 7), ("DD", "NN", "P"), "DST-II x DCT-II x FFT"),
        ((9, 8, 7), ("DD", "ND", "DR"), "DST-II x DCT-IV x dense"),
    ],
)
def test_agrees_with_superlu_to_1e12_with_inhomogeneous_data(shape, kinds, name):
    system = box_system(shape, kinds)
    solver = solver_of(system)
    assert solver.name == name
    assert error(system, solver.solve(system.b)) < 1e-12


@pytest.mark.parametrize("kinds", [("DD", "DD"), ("DN", "DD"), ("P", "DD")])
def test_node_grids_whose_walls_are_eliminated_are_solved_to_1e12(kinds):
    system = box_system((13, 10), kinds, location="node")
    assert error(system, solver_of(system).solve(system.b)) < 1e-12


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_error_is_rounding_times_condition_for_any_box(data):
    d = data.draw(st.integers(1, 3))
    shape = tuple(data.draw(st.integers(2, (40, 9, 5)[d - 1])) for _ in range(d))
    kinds = tuple(
        data.draw(st.sampled_from(["P", *map("".join, itertools.product("DNR", "DNR"))])) for _ in range(d)
    )
    location = data.draw(st.sampled_from(["cell", "node"]))
    system = box_system(
        shape, kinds, data.draw(st.floats(0.1, 50.0)), location, data.draw(st.floats(0.1, 10.0))
    )
    solver = solver_of(system)
    assert error(system, solver.solve(system.b)) < 100 * EPS * np.linalg.cond(system.A.toarray())


def test_complex_shift_keeps_the_transform_exact():
    system = box_system((20, 15), ("DD", "NN"))
    shifted = LinearSystem(
        sp.csr_array(system.A - (0.3 + 0.2j) * sp.eye_array(system.n)), system.b + 0j, layout=system.layout
    )
    assert error(shifted, solver_of(shifted).solve(shifted.b)) < 1e-12


def test_a_nonsymmetric_circulant_is_solved_by_fourier_modes():
    grid = Grid.unit((16, 12), periodic=True)
    velocity = torch.tensor([3.0, -2.0], dtype=torch.float64).expand(16, 12, 2)
    f = torch.from_numpy(np.random.default_rng(2).standard_normal((16, 12)))
    system = elliptic_system(grid, 1.0, f, {}, velocity=velocity, reaction=1.0)
    assert not system.symmetric
    assert error(system, solver_of(system).solve(system.b)) < 1e-12


def test_a_singular_box_gives_the_solution_without_constant():
    system = box_system((12, 9), ("P", "NN"))
    b = system.b - system.b.mean()
    x = solver_of(system).solve(b)
    assert np.linalg.norm(b - system.A @ x) < 1e-12 * np.linalg.norm(b)
    assert abs(x.mean()) < 1e-12 * np.abs(x).max()


def test_what_is_not_constant_on_a_box_is_told():
    grid = Grid.unit((8, 6))
    a = torch.linspace(1, 2, 48, dtype=torch.float64).reshape(8, 6)
    varying = diffusion_system(grid, a, torch.ones(8, 6).double())
    assert "vary" in box_operator(varying.A, (8, 6))
    assert box_operator(varying.A, (7, 7)) == NO_BOX
    dense = sp.csr_array(np.ones((48, 48)))
    assert "stencil" in box_operator(dense, (8, 6))
    skew = sp.diags_array([2 * np.ones(9), -np.ones(8), -0.5 * np.ones(8)], offsets=[0, 1, -1], format="csr")
    assert "neither symmetric nor periodic" in fast_solver(box_operator(skew, (9,)))


@settings(max_examples=25, deadline=None)
@given(shape=st.lists(st.integers(3, 8), min_size=1, max_size=3))
def test_the_box_is_found_from_the_diagonals_alone(shape):
    system = box_system(tuple(shape), ("DD",) * len(shape))
    unnamed = LinearSystem(system.A, system.b)
    assert isinstance(box_operator(unnamed.A, box_of(unnamed)), BoxOperator)
    assert box_of(unnamed) == tuple(shape)


def iterations(n, contrast):
    centres = (np.arange(n) + 0.5) / n
    log = np.log(contrast) / 2 * np.outer(np.sin(3 * centres), np.cos(5 * centres))
    system = diffusion_system(Grid.unit((n, n)), torch.from_numpy(np.exp(log)), torch.ones(n, n).double())
    M = fast_preconditioner(system.A, (n, n))
    size = np.linalg.norm(system.b)
    return cg(system.A, system.b, np.zeros(system.n), M, Limits(1e-10 * size, size, 500)).iterations


def test_preconditioned_iterations_do_not_grow_with_the_grid():
    assert iterations(64, 100.0) <= iterations(16, 100.0) + 2  # spectral equivalence, Concus and Golub (1973)


def test_constant_coefficients_are_preconditioned_exactly():
    assert iterations(16, 1.0) == 1


def test_the_preconditioner_is_symmetric_and_positive():
    a = torch.exp(torch.from_numpy(np.random.default_rng(0).standard_normal((6, 5))))
    system = diffusion_system(Grid.unit((6, 5)), a, torch.ones(6, 5).double())
    M = fast_preconditioner(system.A, (6, 5))
    dense = np.stack([M @ e for e in np.eye(30)])
    np.testing.assert_allclose(dense, dense.T, atol=1e-13 * np.abs(dense).max())
    assert np.linalg.eigvalsh(dense).min() > 0
