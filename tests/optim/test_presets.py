"""What each method claims: its special cases, invariants and closed forms."""

import math

import pytest
import torch
from torch import nn

from pdeflow import optim
from pdeflow.optim.matrix_maps import sinkhorn
from pdeflow.optim.momentum import adaptive_memory
from pdeflow.optim.subspaces import cosine_modes
from pdeflow.optim.whitening import inverse_power

from .test_chain import gaussian, run, unitary

DTYPES = [torch.float64, torch.complex128]
BOTH = pytest.mark.parametrize("dtype", DTYPES)
STEPS = 12


def gradients(*shape, dtype=torch.float64, count=STEPS):
    return [gaussian(*shape, dtype=dtype, seed=k) for k in range(count)]


def moved(name, grads, **options):
    return run(name, grads, **({"lr": 0.1} | options))


@BOTH
@pytest.mark.parametrize(("name", "options"), [("Dion2", {"fraction": 1.0}), ("Trion", {"rank": 6})])
def test_low_rank_methods_at_full_rank_are_muon(name, options, dtype):
    grads = gradients(4, 6, dtype=dtype)
    torch.testing.assert_close(moved(name, grads, **options), moved("Muon", grads, nesterov=False))


@BOTH
@pytest.mark.parametrize("shape", [(8, 12), (12, 8)])
def test_low_rank_methods_change_a_matrix_by_their_rank(dtype, shape):
    for name, options, rank in (("Dion2", {"fraction": 0.25}, 2), ("Trion", {"rank": 3}, 3)):
        singular = torch.linalg.svdvals(moved(name, gradients(*shape, dtype=dtype, count=1), scale="none", **options))
        expected = torch.tensor([0.1] * rank + [0.0] * (8 - rank), dtype=torch.float64)
        torch.testing.assert_close(singular, expected, atol=1e-12, rtol=0)
    singular = torch.linalg.svdvals(moved("DCTAdamW", gradients(*shape, dtype=dtype, count=1), rank=3))
    assert singular[3:].max() < 1e-12


@pytest.mark.parametrize("rank", [6, 100])
def test_dct_adamw_at_full_rank_is_adamw_in_cosine_coordinates(rank):
    grads = gradients(4, 6)
    cosines = cosine_modes(6, torch.float64, torch.device("cpu"))
    torch.testing.assert_close(cosines.mT @ cosines, torch.eye(6, dtype=torch.float64))
    p = nn.Parameter(torch.zeros(4, 6, dtype=torch.float64))
    adam = torch.optim.AdamW([p], lr=0.1, weight_decay=0.0)
    for g in grads:
        p.grad = g @ cosines
        adam.step()
    torch.testing.assert_close(moved("DCTAdamW", grads, rank=rank), p.detach() @ cosines.mT)


def test_what_a_low_rank_step_leaves_out_comes_later():
    """With constant gradients the error feedback makes the sum of all projected gradients and the rest the total."""
    grad, p = gaussian(4, 8), nn.Parameter(torch.zeros(4, 8, dtype=torch.float64))
    optimizer = optim.DCTAdamW([p], rank=2)
    cosines, total = cosine_modes(8, torch.float64, torch.device("cpu")), torch.zeros(4, 8, dtype=torch.float64)
    for k in range(1, 9):
        p.grad, error = grad, optimizer.state[p].get("error", torch.zeros(1, 4, 8, dtype=torch.float64))[0]
        optimizer.step()
        index = optimizer.state[p]["modes"][0]
        total += ((grad + error) @ cosines)[:, index] @ cosines[:, index].mT
        torch.testing.assert_close(total + optimizer.state[p]["error"][0], k * grad)


@BOTH
def test_auon_is_normalised_momentum_within_one_over_the_number_of_entries(dtype):
    """r² <= 1 + (cosh² 1 - 1) / N, as the squares of the entries sum up to one and cosh² is convex in them."""
    grads = gradients(20, 30, dtype=dtype, count=1)
    step = moved("AuON", grads, scale="none")
    plain = -0.1 * grads[0] / grads[0].norm()
    ratio = (plain / step).abs()
    assert ratio.min() >= 1 - 1e-12
    assert ratio.max() <= math.sqrt(1 + (math.cosh(1) ** 2 - 1) / 600)


@BOTH
def test_hybrid_auon_lifts_small_singular_values(dtype):
    u, v = unitary(6, dtype, 1), unitary(6, dtype, 2)
    grad = u @ torch.diag(torch.logspace(0, -2, 6, dtype=torch.float64)).to(dtype) @ v
    spread = [torch.linalg.svdvals(moved(n, [grad])) for n in ("AuON", "HybridAuON")]
    assert spread[1][-1] / spread[1][0] > 2 * spread[0][-1] / spread[0][0]


@BOTH
def test_root_is_muon_when_nothing_is_clipped_and_bounds_an_outlier(dtype):
    grads = gradients(6, 8, dtype=dtype)
    torch.testing.assert_close(moved("ROOT", grads, quantile=1.0, momentum=0.0), moved("Muon", grads, momentum=0.0))
    spoiled = grads[0].clone()
    spoiled[2, 3] *= 1e6
    clean = moved("ROOT", grads[:1])
    assert (moved("ROOT", [spoiled]) - clean).norm() < 0.4 * clean.norm()
    assert (moved("Muon", [spoiled]) - moved("Muon", grads[:1])).norm() > 0.4 * clean.norm()


@BOTH
@pytest.mark.parametrize("polar_first", [False, True])
def test_polar_grad_is_homogeneous_and_descends_by_the_squared_nuclear_norm(dtype, polar_first):
    grads = gradients(5, 7, dtype=dtype)
    step = moved("PolarGrad", grads, polar_first=polar_first)
    torch.testing.assert_close(moved("PolarGrad", [3 * g for g in grads], polar_first=polar_first), 3 * step)
    first = moved("PolarGrad", grads[:1], polar_first=polar_first, momentum=0.0)
    nuclear = torch.linalg.svdvals(grads[0]).sum()
    torch.testing.assert_close((grads[0].conj() * first).sum().real, -0.1 * nuclear**2)


def test_polar_grad_converges_at_a_constant_rate_where_muon_stalls():
    def distance(name, **options):
        p, target = nn.Parameter(gaussian(6, 4)), gaussian(6, 4, seed=1)
        optimizer = getattr(optim, name)([p], **options)
        for _ in range(400):
            optimizer.zero_grad()
            (0.5 * (p - target).square().sum()).backward()
            optimizer.step()
        return (p - target).norm().item()

    assert distance("PolarGrad", lr=0.05, momentum=0.0) < 1e-6
    assert distance("Muon", lr=0.05) > 1e-3


@BOTH
def test_normuon_rows_and_adamuon_entries_have_equal_size_at_first(dtype):
    grads = gradients(6, 8, dtype=dtype, count=1)
    rows = moved("NorMuon", grads).abs().square().mean(1).sqrt()
    torch.testing.assert_close(rows, torch.full_like(rows, 0.1 * 0.2 * math.sqrt(8 * 6 / 48)))
    entries = moved("AdaMuon", grads).abs()
    torch.testing.assert_close(entries, torch.full_like(entries, 0.1 * 0.2))


@BOTH
def test_scion_stays_in_its_ball(dtype):
    p = nn.Parameter(0.1 * gaussian(6, 4, dtype=dtype))
    optimizer = optim.Scion([p], lr=0.3, radius=2.0)
    for k in range(30):
        p.grad = gaussian(6, 4, dtype=dtype, seed=k)
        optimizer.step()
        assert torch.linalg.svdvals(p.detach()).max() <= 2 * math.sqrt(6 / 4) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("ball", "norm"),
    [
        ("spectral", lambda w: torch.linalg.svdvals(w).max() * math.sqrt(8 / 5)),
        ("sign", lambda w: w.abs().max() * 8),
        ("column", lambda w: w.norm(dim=0).max() / math.sqrt(5)),
        ("row", lambda w: w.norm(dim=1).max() * math.sqrt(8)),
    ],
)
def test_scion_steps_to_the_corner_of_each_ball(ball, norm):
    """On the ball, and no other point of it has a smaller product with the gradient."""
    grad = gaussian(5, 8)
    corner = moved("Scion", [grad], lr=1.0, ball=ball, momentum=0.0)
    assert norm(corner).item() == pytest.approx(1)
    for seed in range(50):
        other = gaussian(5, 8, seed=100 + seed)
        assert (grad * corner).sum() <= (grad * other / norm(other)).sum()


def test_scion_divides_by_the_taps_of_a_convolution_and_scales_biases():
    p, bias = nn.Parameter(torch.zeros(4, 6, 3, 3)), nn.Parameter(torch.zeros(10))
    p.grad, bias.grad = gaussian(4, 6, 3, 3, dtype=torch.float32), gaussian(10, dtype=torch.float32)
    optim.Scion([p, bias], lr=1.0, elementwise_radius=3.0).step()
    assert torch.linalg.svdvals(p.detach().flatten(1)).max().item() == pytest.approx(math.sqrt(4 / 6) / 9, rel=1e-5)
    assert bias.detach().square().mean().sqrt().item() == pytest.approx(3)


@BOTH
def test_shampoo_of_one_gradient_is_its_polar_factor(dtype):
    """(G Gᴴ)^(-1/4) G (Gᴴ G)^(-1/4) = U Vᴴ; KL-Shampoo's and FISMO's first updates have that direction too."""
    grad = gaussian(5, 5, dtype=dtype)
    factor = optim.polar(grad)
    torch.testing.assert_close(moved("Shampoo", [grad], momentum=0.0, damping=0.0), -0.1 * factor)
    update = moved("KLShampoo", [grad], momentum=0.0, damping=0.0)
    torch.testing.assert_close(update, -0.1 * 0.2 * math.sqrt(5) * factor)


@BOTH
def test_kl_shampoo_without_scaling_is_free_of_the_size_of_gradients_too(dtype):
    grads = gradients(4, 6, dtype=dtype)
    step = moved("KLShampoo", grads, normalize=False)
    torch.testing.assert_close(moved("KLShampoo", [1e6 * g for g in grads], normalize=False), step, rtol=1e-6, atol=1e-6)


def test_kl_shampoo_finds_the_kronecker_covariance_of_its_gradients():
    """Gradients A Z B with white Z have S_a ∝ A Aᵀ and S_b ∝ Bᵀ B, so that the whitened gradient is white again."""
    a, b = torch.diag(torch.tensor([1.0, 3.0, 10.0])).double(), torch.diag(torch.tensor([1.0, 0.5, 4.0, 2.0])).double()
    p = nn.Parameter(torch.zeros(3, 4, dtype=torch.float64))
    optimizer = optim.KLShampoo([p], statistics_decay=0.998, damping=1e-4, lr=0.0)
    for k in range(4000):
        p.grad = a @ gaussian(3, 4, seed=k) @ b
        optimizer.step()
    left, right = (optimizer.state[p][key][0] for key in ("left_root", "right_root"))
    whitened = left @ a / (left @ a)[0, 0], right @ b / (right @ b)[0, 0]
    for matrix in whitened:
        torch.testing.assert_close(matrix, torch.eye(len(matrix), dtype=torch.float64), atol=0.1, rtol=0)


@BOTH
@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0])
def test_inverse_power_is_one(dtype, exponent):
    root = gaussian(3, 5, 8, dtype=dtype)
    covariance = root @ root.mH
    power = inverse_power(covariance, exponent, 0.0)
    product = covariance
    for _ in range(round(1 / exponent)):
        product = power @ product
    torch.testing.assert_close(product, torch.eye(5, dtype=dtype).expand(3, 5, 5), atol=1e-9, rtol=0)


@BOTH
def test_sinkhorn_balances_rows_and_columns(dtype):
    x = sinkhorn(gaussian(3, 5, 9, dtype=dtype), 100)
    torch.testing.assert_close(x.norm(dim=-2), torch.full((3, 9), math.sqrt(5), dtype=torch.float64))
    torch.testing.assert_close(x.norm(dim=-1), torch.full((3, 5), 3.0, dtype=torch.float64))


@BOTH
@pytest.mark.parametrize("base", ["sinkhorn", "sign", "row_norm"])
def test_aro_keeps_a_rotation_and_an_update_of_fixed_size(dtype, base):
    p = nn.Parameter(gaussian(5, 7, dtype=dtype))
    optimizer = optim.ARO([p], base=base)
    for grad in gradients(5, 7, dtype=dtype):
        before, p.grad = p.detach().clone(), grad
        optimizer.step()
        rotation = optimizer.state[p]["rotation"][0]
        torch.testing.assert_close(rotation.mH @ rotation, torch.eye(5, dtype=dtype))
        assert (p.detach() - before).abs().square().mean().sqrt().item() == pytest.approx(0.02 * 0.2)


@BOTH
@pytest.mark.parametrize("symmetry", ["orthogonal", "rows", "rows_after_polar", "one_sided", "columns", "shift"])
def test_symmetric_maps_commute_with_their_group(dtype, symmetry):
    grads = gradients(5, 4, dtype=dtype)
    permutation = torch.eye(5, dtype=dtype)[torch.tensor([2, 0, 4, 1, 3])]
    left, right = unitary(5, dtype, 1), unitary(4, dtype, 2)
    if symmetry == "columns":
        right = torch.eye(4, dtype=dtype)[torch.tensor([3, 0, 1, 2])]
        left = torch.diag(torch.sgn(gaussian(5, dtype=dtype)))
        left = permutation @ left  # signs and permutations keep the lengths of columns
    elif symmetry != "orthogonal":
        left = permutation
    turned = moved("SymmetryAware", [left @ g @ right for g in grads], symmetry=symmetry)
    torch.testing.assert_close(turned, left @ moved("SymmetryAware", grads, symmetry=symmetry) @ right)
    if symmetry == "shift":
        shifted = [g + gaussian(1, 4, dtype=dtype, seed=50) for g in grads]
        plain, other = (moved("SymmetryAware", g, symmetry="shift") for g in (grads, shifted))
        torch.testing.assert_close(other, plain)


@BOTH
def test_adaptive_memory_takes_the_shortest_direction_and_so_never_a_longer_one(dtype):
    for seed in range(20):
        d, g = gaussian(1, 4, 5, dtype=dtype, seed=seed), gaussian(1, 4, 5, dtype=dtype, seed=100 + seed) * 2.0 ** (seed % 5 - 2)
        state = {"momentum": d}
        batch = optim.MatrixBatch({"memory": 4.0}, [], [state], [1], g, 1)
        found = adaptive_memory(g, batch)
        others = [((b + 4) * d + (1 - b) * g) / 5 for b in torch.linspace(0, 1, 101, dtype=torch.float64)]
        assert found.norm() <= min(x.norm() for x in others) * (1 + 1e-12)
        assert found.norm() <= d.norm() * (1 + 1e-12)
        assert state["momentum"] is not d
