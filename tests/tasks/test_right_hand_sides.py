"""Right-hand sides for training: pairs with A x = b, of length one, with the spectrum that their name promises."""

import math

import pytest
import torch

from pdeflow.errors import UsageError
from pdeflow.linalg import operators
from pdeflow.tasks import Manufactured, OnPolicy, Ritz, Spectral
from pdeflow.tasks.right_hand_sides import Batch, RightHandSides

SHAPE = (6, 1, 16, 12)


def batch(step=0, coefficient=None, seed=0, direction=torch.clone):
    a = torch.ones(SHAPE, dtype=torch.float64) if coefficient is None else coefficient
    faces = operators.face_conductances(a, (1.0, 1.0))
    return Batch(faces, SHAPE, direction, step, torch.Generator().manual_seed(seed))


def random_coefficient():
    return torch.exp(torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("kind", [Manufactured(), OnPolicy(2, 4), Spectral()])
@pytest.mark.parametrize("coefficient", [None, random_coefficient()])
def test_right_hand_sides_are_pairs_of_length_one(kind, coefficient):
    for step in range(6):
        drawn = batch(step, coefficient, seed=step)
        b, x = kind.draw(drawn)
        torch.testing.assert_close(drawn.apply(x), b, rtol=0, atol=1e-10)
        torch.testing.assert_close(b.flatten(1).norm(dim=1), torch.ones(6, dtype=torch.float64))
        assert torch.equal(b, kind.draw(batch(step, coefficient, seed=step))[0])


def sine(k, n):
    return torch.sin(math.pi / n * k * (torch.arange(n, dtype=torch.float64) + 0.5))


def test_spectral_right_hand_sides_have_the_eigenvectors_and_powers_they_claim():
    """The sines are eigenvectors of the operator with its half-cell walls, so the mode k of b decays as λ^-s."""
    drawn = batch()
    mode = (sine(3, 16)[:, None] * sine(5, 12)).expand(SHAPE)
    eigenvalue = 4 * math.sin(3 * math.pi / 32) ** 2 + 4 * math.sin(5 * math.pi / 24) ** 2
    torch.testing.assert_close(drawn.apply(mode), eigenvalue * mode, rtol=0, atol=1e-12)
    rough, smooth = (Spectral(s, s).draw(batch(seed=4))[0] for s in (-1.0, 2.0))
    highest, lowest = sine(16, 16)[:, None] * sine(12, 12), sine(1, 16)[:, None] * sine(1, 12)

    def share(b, mode):
        return ((b * mode).flatten(1).sum(1) / mode.norm()).square().mean()

    assert share(smooth, lowest) > 1e4 * share(rough, lowest)
    assert share(rough, highest) > 1e3 * share(smooth, highest)


def test_ritz_right_hand_sides_favour_low_modes_and_belong_to_one_matrix():
    kind = Ritz(count=60, low=0.5, factor=9.0)
    b, x = kind.draw(batch())
    assert x is None
    q = kind.vectors[(16, 12)].flatten(1)
    shares = (torch.cat([kind.draw(batch(seed=i))[0].flatten(1) for i in range(50)]) @ q.mT).square().mean(0)
    low, high = shares[:30].mean(), shares[30:].mean()
    assert low / high == pytest.approx(81, rel=0.15)  # 300 samples of 30 squares each: a standard deviation of 2 %
    torch.testing.assert_close(b.flatten(1).norm(dim=1), torch.ones(6, dtype=torch.float64))
    with pytest.raises(UsageError, match="belong to one matrix"):
        Ritz(10).draw(batch(coefficient=random_coefficient()))


def test_policy_right_hand_sides_are_residuals_of_the_current_network():
    """The network is not asked before noise_steps, then for every number of solver steps up to policy_steps."""
    asked = []

    def direction(r):
        asked.append(len(r))
        return r

    kind = OnPolicy(noise_steps=3, policy_steps=4)
    for step in range(3):
        kind.draw(batch(step, seed=step, direction=direction))
    assert not asked
    counts = []
    for seed in range(40):
        asked.clear()
        kind.draw(batch(5, seed=seed, direction=direction))
        counts.append(len(asked))
    assert set(counts) == {0, 1, 2, 3, 4}


def test_wrong_options_are_refused():
    for make in (lambda: Manufactured(0.3, 0.1), lambda: OnPolicy(-1), lambda: Spectral(1.0, 0.0), lambda: Ritz(low=2.0)):
        with pytest.raises(UsageError):
            make()
    with pytest.raises(TypeError, match="abstract"):
        RightHandSides()
