"""Matrices that several tests solve."""

import numpy as np
import pytest
import scipy.sparse as sp

from pdeflow import seeds
from pdeflow.problems import Darcy, LogNormalDarcy


def darcy_system(n, index=0, problem=None):
    problem = problem or Darcy()
    return problem.system(problem.sample(seeds.generator(0, seeds.SOLVE, index)), problem.grid((n, n)))


@pytest.fixture(scope="session")
def darcy():
    """Two-phase Darcy on 32 x 32 cells."""
    return darcy_system(32)


@pytest.fixture(scope="session")
def log_normal():
    """Darcy with a contrast of about 1e3 on 32 x 32 cells."""
    return darcy_system(32, problem=LogNormalDarcy(sigma=1.5))


def neumann_laplacian(n):
    """Path graph Laplacian: symmetric, singular, constants in its null space."""
    main = np.r_[1.0, 2 * np.ones(n - 2), 1.0]
    return sp.diags_array([main, -np.ones(n - 1), -np.ones(n - 1)], offsets=[0, 1, -1], format="csr")
