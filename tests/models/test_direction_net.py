"""Networks that propose directions: the sizes of the paper, what a linear one promises, and where they refuse to serve."""

import numpy as np
import pytest
import torch

from pdeflow.discretization import diffusion_system
from pdeflow.errors import UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import Reason, solve
from pdeflow.models import DirectionNet, LinearMultigridNet


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def system_on(*shape):
    one = torch.ones(shape, dtype=torch.float64)
    return diffusion_system(Grid.unit(shape), one, one)


def fields(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (DirectionNet(), 97_457),  # the paper's network for 64³
        (DirectionNet(before=2, coarse=5, after=3), 152_881),  # and for 128³
        (DirectionNet(dim=2), 32_657),
        (LinearMultigridNet(), 10_448),
        (LinearMultigridNet(tied=True), 3_152),
    ],
)
def test_networks_have_as_many_parameters_as_the_specification_counts(network, count):
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (DirectionNet(), (8, 12, 10)), (DirectionNet(dim=2), (10, 16)), (LinearMultigridNet(), (64, 32)),
        (LinearMultigridNet(3, 4, 3), (8, 4, 12)), (LinearMultigridNet(tied=True), (48, 24)),
    ],
)  # fmt: skip
def test_a_direction_has_the_shape_of_its_residual(network, shape):
    assert network(fields(2, 1, *shape)).shape == (2, 1, *shape)


@pytest.mark.parametrize("tied", [False, True])
def test_the_multigrid_shaped_network_is_a_linear_map_that_is_not_symmetric(tied):
    network = LinearMultigridNet(tied=tied).double()
    u, v = fields(2, 1, 1, 32, 32).double()
    with torch.no_grad():
        Nu, Nv, both = (network(w) for w in (u, v, 3 * u - 2 * v))
    torch.testing.assert_close(both, 3 * Nu - 2 * Nv, rtol=0, atol=1e-12 * float(Nu.abs().max()))
    assert abs((u * Nv).sum() - (v * Nu).sum()) > 1e-3 * u.norm() * Nv.norm()


def reach(network, side):
    """Distance at which a unit residual in the middle still changes the direction."""
    points = torch.zeros(2, 1, side, side, dtype=torch.float64)
    points[1, 0, side // 2, side // 2] = 1.0
    with torch.no_grad():
        zero, one = network.double()(points)
    rows = torch.nonzero((one - zero)[0].abs().amax(1)).flatten() - side // 2
    return int(rows.abs().max())


def test_two_levels_see_a_few_dozen_cells_and_a_cycle_sees_the_whole_grid():
    assert reach(DirectionNet(dim=2), 128) <= 24  # 9 fine layers, and 6 coarse ones that count twice
    assert reach(LinearMultigridNet(), 128) >= 63


def test_tied_weights_give_the_coarse_grids_part_of_a_finer_network():
    """The levels below the finest of a 64² grid are those of the 32² grid: one more level is one more wrapping of the same map."""
    network = LinearMultigridNet(tied=True)
    h = fields(1, 8, 32, 32)
    fine = fields(1, 8, 64, 64)
    smoothed = fine + network.before[0](fine)
    by_hand = smoothed + network.up[0](network._level(network.down[0](smoothed), 0))
    torch.testing.assert_close(network._level(fine, 0), by_hand + network.after[0](by_hand))
    assert network._level(h, 0).shape == h.shape


@pytest.mark.parametrize("network", [DirectionNet(dim=2), LinearMultigridNet(levels=4)])
def test_the_preconditioner_does_not_see_the_length_of_a_residual(network):
    system = system_on(16, 24)
    M = network.setup(system)
    r = fields(system.n).double().numpy()
    small = M @ (1e-40 * r)
    assert abs(1e40 * small - M @ r).max() <= 1e-5 * abs(M @ r).max()
    assert M.linear == isinstance(network, LinearMultigridNet)
    assert not (M @ (0 * r)).any()
    sixteen = network.setup(system, torch.bfloat16)
    assert abs(sixteen @ r - M @ r).max() <= 0.1 * abs(M @ r).max()
    assert next(network.parameters()).dtype == torch.float32  # a copy was converted


def test_sixteen_bits_hold_in_space_too():
    r = fields(1, 1, 8, 8, 8)
    network = DirectionNet()
    with torch.no_grad():
        wide, narrow = network(r), DirectionNet()
        narrow.load_state_dict(network.state_dict())
        half = narrow.to(torch.bfloat16)(r.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half.float() - wide).norm() <= 0.05 * wide.norm()


def test_plain_conjugate_gradients_refuse_a_network_and_name_the_flexible_method():
    system = system_on(16, 16)
    with pytest.raises(UsageError, match=r"LinearMultigridNet is not symmetric.*use method='fcg'"):
        solve(system, method="cg", preconditioner=LinearMultigridNet(levels=3))
    for network in (LinearMultigridNet(levels=3), DirectionNet(dim=2)):
        found = solve(system, preconditioner=network)  # untrained: the guard ends it with multigrid
        assert found.reason is Reason.converged_fallback
        assert f"fcg + {type(network).__name__}" in found.detail


@pytest.mark.parametrize("guard", ["switch", "multi"])
def test_an_untrained_network_ends_converged(guard):
    system = system_on(16, 16)
    found = solve(system, method="dcdm", preconditioner=DirectionNet(dim=2), guard=guard, rtol=1e-8)
    assert found.converged
    assert (found.reason is Reason.converged_fallback) == (guard == "switch")


def test_a_grid_that_does_not_fit_is_refused_with_the_shape():
    cases = [
        (DirectionNet(), system_on(16, 16), r"3-D grid with sides divisible by 2, got \(16, 16\)"),
        (DirectionNet(dim=2), system_on(15, 16), r"got \(15, 16\)"),
        (LinearMultigridNet(levels=5), system_on(16, 24), "divisible by 16"),
    ]
    for network, system, message in cases:
        with pytest.raises(UsageError, match=message):
            solve(system, method="dcdm", preconditioner=network)
    detail = solve(system_on(15, 16), preconditioner=DirectionNet(dim=2)).detail  # left to the solver, the guard takes over
    assert "DirectionNet: DirectionNet does not fit this system" in detail
    assert "Conv2d" not in detail
    with pytest.raises(UsageError, match="a system without a grid"):
        solve(np.eye(4), method="dcdm", preconditioner=DirectionNet())
    with pytest.raises(ValueError, match="dim 2 or 3, got 1"):
        DirectionNet(dim=1)
    with pytest.raises(ValueError, match="positive"):
        DirectionNet(coarse=0)
    with pytest.raises(ValueError, match="positive"):
        LinearMultigridNet(levels=0)
