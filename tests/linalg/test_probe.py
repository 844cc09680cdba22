"""One matrix, one pattern, a box and few right-hand sides are detected, and the smallest change is too."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeflow.discretization.finite_volume import diffusion_system
from pdeflow.geometry import Grid
from pdeflow.linalg.probe import alike, detect, known, rank
from pdeflow.linalg.system import LinearSystem
from tests.linalg.race_cases import SYSTEMS


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 20),
    what=st.sampled_from(["nothing", "value", "pattern", "rhs"]),
)
def test_the_same_matrix_is_detected_and_the_smallest_change_too(seed, n, what):
    generator = np.random.default_rng(seed)
    A = sp.csr_array(sp.random_array((n, n), density=0.3, rng=generator) + n * sp.eye_array(n))
    systems = [LinearSystem(A.copy(), generator.standard_normal(n), False) for _ in range(3)]
    changed = A.copy()
    if what == "value":
        k = generator.integers(A.nnz)
        changed.data[k] = np.nextafter(changed.data[k], np.inf)
    if what == "pattern":
        dense = np.ones((n, n)) if A.nnz < n * n else np.eye(n)
        changed = sp.csr_array(dense)
    systems[2] = replace(systems[2], A=changed)
    probe = detect(systems)
    assert probe.same_matrix == (what in ("nothing", "rhs"))
    assert probe.same_pattern == (what != "pattern")


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), q=st.integers(1, 4), count=st.integers(1, 4), scale=st.floats(1e-6, 1e6)
)
def test_rank_of_a_few_right_hand_sides(seed, q, count, scale):
    generator = np.random.default_rng(seed)
    basis, weights = (
        np.linalg.qr(generator.standard_normal((12, q)))[0],
        np.linalg.qr(generator.standard_normal((4, 4)))[0],
    )
    vectors = list(scale * (basis @ weights[:q, :count]).T)
    expected = np.linalg.matrix_rank(weights[:q, :count], tol=1e-6)
    assert rank(vectors) == expected


def test_a_probe_knows_box_coefficients_symmetry_and_definiteness():
    probe = detect(SYSTEMS)
    assert (probe.symmetric, probe.positive_definite, probe.box, probe.constant) == (
        True,
        True,
        (8, 8),
        False,
    )
    assert not probe.same_matrix
    flat = diffusion_system(Grid.unit((8, 8)), 2 * torch.ones(8, 8).double(), torch.ones(8, 8).double())
    assert detect([flat]).constant
    general = LinearSystem(sp.csr_array(flat.A + sp.eye_array(64, k=1)), flat.b * 1j)
    found = detect([general])
    assert found.is_complex
    assert not found.symmetric
    assert "nonsymmetric" in str(found)


def test_unknown_properties_are_taken_from_the_first_system():
    first = known(LinearSystem(SYSTEMS[0].A, SYSTEMS[0].b))
    assert first.symmetric
    assert first.positive_definite
    second = alike(LinearSystem(SYSTEMS[1].A, SYSTEMS[1].b), first)
    assert second.symmetric
    assert second.positive_definite
    assert alike(SYSTEMS[1], first) is SYSTEMS[1]
