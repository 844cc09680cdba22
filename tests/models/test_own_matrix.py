"""A matrix that was assembled elsewhere: a learned cycle takes it with its grid and coefficient, and says so where they lack."""

import numpy as np
import pytest
import scipy.sparse as sp

from pdeflow import solve
from pdeflow.errors import UsageError
from pdeflow.geometry import Box
from pdeflow.linalg import LinearSystem, linear_system
from pdeflow.models import DirectionNet, LearnedVCycle, LinearMultigridNet

SHAPE = (48, 40)


def second_difference(n):
    return sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n))


def weighted(weight):
    """-(weight ∂²/∂x² + ∂²/∂y²) on SHAPE unknowns in C order, cells of width one."""
    x, y = map(second_difference, SHAPE)
    return (sp.kron(weight * x, sp.eye_array(SHAPE[1])) + sp.kron(sp.eye_array(SHAPE[0]), y)).tocsr()


def iterations(A, widths):
    grid = Box((0.0, 0.0), tuple(n * h for n, h in zip(SHAPE, widths, strict=True))).grid(SHAPE)
    b = np.random.default_rng(0).standard_normal(A.shape[0])
    found = solve(LinearSystem(A, b, grid=grid, coefficient=np.ones(SHAPE)), method="dcdm", preconditioner=LearnedVCycle(), guard="none")
    assert found.converged
    assert np.linalg.norm(b - A @ found.x) <= 1e-8 * np.linalg.norm(b)
    return found.iterations


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_scale_of_the_matrix_does_not_matter(scale):
    assert iterations(scale * weighted(1.0), (1.0, 1.0)) == iterations(weighted(1.0), (1.0, 1.0))


def test_the_unknowns_are_in_c_order_with_the_first_axis_of_the_grid_outermost():
    """A weight w on an axis is a cell narrower by √w there; on the other axis it makes another matrix of the cycle."""
    A, narrow = weighted(16.0), 1 / 4
    assert 2 * iterations(A, (narrow, 1.0)) < iterations(A, (1.0, narrow))


@pytest.mark.parametrize("network", [LearnedVCycle(), DirectionNet(dim=2), LinearMultigridNet(dim=2)], ids=lambda net: type(net).__name__)
def test_a_matrix_without_a_grid_is_refused_with_the_way_to_give_it(network):
    with pytest.raises(UsageError, match=r"pdeflow\.linalg\.LinearSystem\(A, b, grid=…"):
        solve(linear_system(weighted(1.0)), method="dcdm", preconditioner=network)
