import pytest
import torch

from pdeflow.losses.energy import (
    energy_loss,
    inner,
    log_energy_loss,
    minimal_residual_loss,
    mixed_noise,
    on_policy_pairs,
    residual_loss,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def pairs():
    """Random positive definite A, shape (4, 12, 12), and f, x, b = A x, shape (4, 12)."""
    generator = seeded()
    root, f, x = (
        torch.randn(4, 12, *tail, dtype=torch.float64, generator=generator) for tail in ((12,), (), ())
    )
    A = root @ root.mT + torch.eye(12, dtype=torch.float64)
    return A, f, x, multiply(A, x)


def multiply(A, x):
    return (A @ x[..., None])[..., 0]


def test_energy_loss_is_zero_for_the_exact_direction(pairs):
    A, _, x, b = pairs
    assert energy_loss(-3 * x, multiply(A, -3 * x), b, x).abs().max() < 1e-12
    assert residual_loss(x, multiply(A, x), b).max() < 1e-20 * inner(b, b).max()


def test_energy_loss_ignores_scale_and_sign(pairs):
    A, f, x, b = pairs
    loss = energy_loss(f, multiply(A, f), b, x)
    torch.testing.assert_close(energy_loss(-7 * f, multiply(A, -7 * f), b, x), loss, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(
        residual_loss(-7 * f, multiply(A, -7 * f), b), residual_loss(f, multiply(A, f), b)
    )


def test_energy_loss_is_what_an_exact_line_search_leaves(pairs):
    A, f, x, b = pairs
    Af = multiply(A, f)
    error = x - (inner(b, f) / inner(f, Af))[:, None] * f
    left = inner(error, multiply(A, error)) / inner(x, b)  # = 1 - cos²_A(f, x)
    torch.testing.assert_close(energy_loss(f, Af, b, x), left, rtol=1e-10, atol=0)
    torch.testing.assert_close(log_energy_loss(f, Af, b, x), torch.log(left + 1e-6), rtol=1e-10, atol=0)


def test_gradients_of_the_residual_loss_flow_through_the_length_of_the_step(pairs):
    """With A f a function of f, against central differences; a step that does not follow f would leave a part of the gradient out."""
    A, f, _, b = pairs
    b, f = b / b.norm(dim=1, keepdim=True), f.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: residual_loss(v, multiply(A, v), b), (f,), atol=1e-7, rtol=1e-5)
    (gradient,) = torch.autograd.grad(residual_loss(f, multiply(A, f), b).sum(), f)
    assert (gradient * f).sum(1).abs().max() <= 1e-10 * gradient.norm() * f.norm()  # the loss is blind to the length of f: Euler's identity
    (other,) = torch.autograd.grad(minimal_residual_loss(f, multiply(A, f), b).sum(), f)
    assert torch.autograd.gradcheck(lambda v: minimal_residual_loss(v, multiply(A, v), b), (f,), atol=1e-7, rtol=1e-5)
    assert (other - gradient).norm() > 1e-3 * gradient.norm()  # another step, another gradient


def test_minimal_residual_loss_is_the_smallest_residual_along_a_direction(pairs):
    """Whatever A is: no other length of f leaves less."""
    A, f, _, b = pairs
    A = A - 8 * torch.eye(12, dtype=torch.float64)  # indefinite
    Af, lengths = multiply(A, f), torch.linspace(-3, 3, 6001, dtype=torch.float64)
    left = (b[:, None] - lengths[:, None] * Af[:, None]).norm(dim=2).amin(1) ** 2 / inner(b, b)
    torch.testing.assert_close(minimal_residual_loss(f, Af, b), left, rtol=0, atol=1e-4)
    assert minimal_residual_loss(f, 7 * Af, b).tolist() == pytest.approx(minimal_residual_loss(f, Af, b).tolist())


def test_on_policy_pairs_stay_pairs_for_a_direction_that_is_useless_or_nonlinear(pairs):
    A, _, x, b = pairs
    for direction in (torch.zeros_like, lambda r: torch.relu(r) + 1):
        r, e = on_policy_pairs(lambda u: multiply(A, u), direction, b, x, steps=5)
        torch.testing.assert_close(multiply(A, e), r, rtol=0, atol=1e-10)
        torch.testing.assert_close(inner(r, r), torch.ones(4, dtype=torch.float64))


def test_energy_loss_refuses_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match="one shape"):
        energy_loss(torch.ones(2, 3), torch.ones(2, 3), torch.ones(1, 3), torch.ones(2, 3))


def test_on_policy_pairs_stay_pairs_and_follow_conjugate_gradients(pairs):
    A, _, x, b = pairs
    r, e = on_policy_pairs(lambda u: multiply(A, u), lambda u: u, b, x, steps=4)
    torch.testing.assert_close(multiply(A, e), r, rtol=0, atol=1e-10)
    torch.testing.assert_close(inner(r, r), torch.ones(4, dtype=torch.float64))
    krylov = [b]
    for _ in range(3):
        krylov.append(multiply(A, krylov[-1]))
    basis = torch.linalg.qr(torch.stack(krylov, -1)).Q  # r_4 is orthogonal to the Krylov space of b
    assert (basis.mT @ r[..., None]).abs().max() < 1e-8


def test_no_on_policy_step_only_normalizes(pairs):
    A, _, x, b = pairs
    r, e = on_policy_pairs(lambda u: multiply(A, u), lambda u: u, b, x, steps=0)
    torch.testing.assert_close(r, b / b.norm(dim=1, keepdim=True))
    torch.testing.assert_close(e, x / b.norm(dim=1, keepdim=True))


def test_mixed_noise_depends_on_the_generator_only_and_has_unit_scale():
    x = mixed_noise((64, 1, 16, 24), generator=seeded())
    assert torch.equal(x, mixed_noise((64, 1, 16, 24), generator=seeded()))
    assert x.dtype == torch.float64
    deviation = x.std((1, 2, 3))  # sqrt(t² + (1-t)²) lies in [0.7, 1] up to sampling
    assert deviation.min() > 0.55
    assert deviation.max() < 1.2
