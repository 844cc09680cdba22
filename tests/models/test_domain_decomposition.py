"""Multi-grid patches: exact round trips, centred views, boundaries, and networks that work on patches."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from torch import nn

from pdeflow.models import FNO, TFNO
from pdeflow.models.domain_decomposition import MultiGridPatches, cut, join, seam_ratio
from pdeflow.models.patched_network import PatchedNetwork

BOUNDARIES = ["circular", "reflect", "symmetric", "mask"]
shares = st.sampled_from([0.0, 0.04, 0.0625, 0.3])


@st.composite
def patchings(draw):
    dimension, levels = draw(st.integers(1, 3)), draw(st.integers(0, 4))
    levels = min(levels, 2) if dimension == 3 else levels
    grid = tuple(2**levels * draw(st.integers(1, 3)) for _ in range(dimension))
    padding = draw(st.one_of(shares, st.tuples(*[st.one_of(shares, st.tuples(shares, shares))] * dimension)))
    return MultiGridPatches(levels, padding, draw(st.sampled_from(BOUNDARIES)), draw(st.booleans())), grid


def field(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@given(patchings())
def test_stitching_what_was_split_gives_the_field_back(case):
    patches, grid = case
    x = field(2, 3, *grid)
    y = patches.split(x)
    assert y.shape == (2 * patches.per_axis ** len(grid), patches.channels(3), *patches.patch_shape(grid))
    assert torch.equal(patches.stitch(y, grid)[:, :3], x)


@given(patchings())
def test_blending_gives_the_field_back_too(case):
    patches, grid = case
    x = field(2, 3, *grid)
    blended = replace(patches, blend=True)
    torch.testing.assert_close(blended.stitch(patches.split(x)[:, :3], grid), x, atol=1e-14, rtol=0)


def test_blending_leaves_no_seam_between_patches_that_disagree():
    x = torch.cat((torch.zeros(1, 1, 18), torch.ones(1, 1, 18)))  # what two patches of 12 points and 3 on either side say
    y = MultiGridPatches(1, 0.125, "reflect", blend=True).stitch(x, (24,))
    assert y[0, 0].diff().tolist() == pytest.approx([0] * 8 + [1 / 7] * 7 + [0] * 8)


@given(patchings())
def test_all_views_of_a_patch_share_their_middle_point(case):
    patches, grid = case
    patches = MultiGridPatches(patches.levels, patches.padding, patches.boundary)
    y = patches.split(field(1, 1, *grid))
    middle = [axis.side // 2 + axis.before for axis in patches.axes(grid)]
    views = y[(slice(None), slice(patches.levels + 1), *middle)]
    assert torch.equal(views, views[:, :1].expand_as(views))


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_phase_of_a_wave_advances_by_the_stride_about_the_middle(levels):
    n, padding = 48, 0.125
    x = torch.arange(n, dtype=torch.float64)
    wave = torch.stack((torch.cos(2 * math.pi * x / n), torch.sin(2 * math.pi * x / n)))[None]
    y = MultiGridPatches(levels, padding).split(wave)
    side, m = n // 2**levels, y.shape[-1]
    views = torch.view_as_complex(y.unflatten(1, (levels + 1, 2)).transpose(2, 3).contiguous())
    for patch in range(2**levels):
        for level in range(levels + 1):
            place = patch * side + side // 2 + 2**level * (torch.arange(m) - m // 2)
            expected = torch.exp(2j * math.pi * place.double() / n)
            torch.testing.assert_close(views[patch, level], expected, atol=1e-14, rtol=0)


SIZES = [(64, 64), (64, 128), (96, 96), (128, 128)]
WORKING = [(size, levels) for size in SIZES for levels in (1, 2, 3) if all(n % 2 ** (2 * levels + 1) == 0 for n in size)]


@pytest.mark.parametrize(("size", "levels"), WORKING)
@pytest.mark.parametrize("padding", [0.0625, [0.1, 0.03125]])
def test_bits_of_neuralop_where_it_works(size, levels, padding):
    patching = pytest.importorskip("neuralop.training.patching")
    x = torch.randn(2, 2, *size)
    theirs = patching.MultigridPatching2D(nn.Identity(), levels, padding)
    assert torch.equal(MultiGridPatches(levels, padding).split(x), theirs.patch(x, x)[0])


@given(st.integers(1, 4), st.integers(1, 3))
def test_without_padding_the_last_level_sees_the_domain_once(levels, multiple):
    n = 2**levels * multiple
    y = MultiGridPatches(levels, 0.0).split(torch.arange(float(n)).reshape(1, 1, n))[:, -1]
    for view in y:  # one residue class modulo the stride, each of its points once, in order around the circle
        assert view.sort().values.tolist() == list(range(int(view[0]) % 2**levels, n, 2**levels))


def test_windows_beyond_the_domain():
    x = torch.arange(1.0, 9.0).reshape(1, 1, 8)
    first = {
        kind: MultiGridPatches(1, ((0.375, 0.0),), kind).split(x)[0].tolist()
        for kind in ("circular", "reflect", "symmetric", "mask")
    }
    assert first["circular"][0] == [6, 7, 8, 1, 2, 3, 4]
    assert first["reflect"][0] == [4, 3, 2, 1, 2, 3, 4]
    assert first["symmetric"][0] == [3, 2, 1, 1, 2, 3, 4]
    assert first["mask"][0] == [0, 0, 0, 1, 2, 3, 4]
    assert first["mask"][2] == [0, 0, 0, 1, 1, 1, 1]
    assert first["mask"][1] == [0, 0, 0, 0, 1, 3, 5]
    assert first["mask"][3] == [0, 0, 0, 0, 1, 1, 1]


@given(patchings())
def test_masked_cells_are_zero_and_real_cells_are_those_of_the_field(case):
    patches, grid = case
    masked = MultiGridPatches(patches.levels, patches.padding, "mask")
    y = masked.split(torch.ones(1, 1, *grid))
    views, masks = y.chunk(2, dim=1)
    assert torch.equal(views, masks)
    assert set(masks.unique().tolist()) <= {0.0, 1.0}
    circular = MultiGridPatches(patches.levels, patches.padding)
    x = field(2, 1, *grid)
    views, masks = masked.split(x).chunk(2, dim=1)
    assert torch.equal(views, circular.split(x) * masks)


@pytest.mark.parametrize("boundary", ["reflect", "symmetric", "mask"])
@pytest.mark.parametrize("antialias", [False, True])
def test_only_circular_patches_see_across_the_ends(boundary, antialias):
    for kind, seen in ((boundary, False), ("circular", True)):
        x = torch.zeros(1, 1, 64, dtype=torch.float64, requires_grad=True)
        MultiGridPatches(2, 0.0625, kind).split(x)[0, 0].sum().backward()
        assert bool(x.grad[0, 0, 32:].any()) == seen
    ramp = torch.linspace(0, 1, 64, dtype=torch.float64).reshape(1, 1, 64)
    steps = MultiGridPatches(1, 0.0625, boundary, antialias).split(ramp)[0, :2].diff().abs()
    if boundary != "mask":
        assert steps.max() < 0.1  # no jump from the last to the first point


@given(st.integers(1, 3), st.sampled_from(BOUNDARIES))
def test_antialiased_views_drop_what_the_stride_cannot_resolve(levels, boundary):
    n = 64
    j = torch.arange(n, dtype=torch.float64)
    period = {"circular": n, "reflect": 2 * n - 2}.get(boundary, 2 * n)
    shift = 0.0 if boundary in ("circular", "reflect") else 0.5

    def view(k, level, antialias):
        wave = torch.cos(2 * math.pi * k * (j + shift) / period).reshape(1, 1, n)
        return MultiGridPatches(levels, 0.0, boundary, antialias).split(wave)[:, level]

    for level in range(1, levels + 1):
        limit = period / 2 ** (level + 1)
        low, high = math.ceil(limit) - 1, math.ceil(limit)
        torch.testing.assert_close(view(low, level, True), view(low, level, False), atol=1e-12, rtol=0)
        assert view(high, level, True).abs().max() < 1e-12


def test_coordinates_are_not_filtered():
    x = field(1, 3, 16, 16)
    plain, smooth = (MultiGridPatches(1, 0.0, antialias=on).split(x, unfiltered=2) for on in (False, True))
    assert torch.equal(plain[:, 4:], smooth[:, 4:])
    assert not torch.equal(plain[:, 3], smooth[:, 3])


@given(st.integers(1, 3), st.integers(0, 2))
def test_joining_inverts_cutting(dimension, levels):
    x = field(2, 3, *range(2**levels, 2**levels * (dimension + 1), 2**levels))
    assert torch.equal(join(cut(x, 2**levels), 2**levels), x)


def test_gradients_are_those_of_the_linear_map():
    x = field(1, 1, 4, 6).requires_grad_()
    for boundary in BOUNDARIES:
        patches = MultiGridPatches(1, 0.2, boundary, antialias=True, blend=True)
        assert torch.autograd.gradcheck(lambda x, p=patches: p.stitch(p.split(x).square(), (4, 6)), x)


def test_seam_ratio_of_ramps_and_steps():
    ramp = torch.arange(16.0).expand(2, 1, 16)
    torch.testing.assert_close(seam_ratio(ramp, 2), torch.ones(2))
    stepped = ramp + 3 * (torch.arange(16) // 4)
    torch.testing.assert_close(seam_ratio(stepped, 2), torch.full((2,), 4.0))
    torch.testing.assert_close(seam_ratio(torch.ones(2, 1, 8, 8), 1), torch.ones(2))
    with pytest.raises(ValueError, match="no seams"):
        seam_ratio(ramp, 0)


def patched(inner=None, **options):
    torch.manual_seed(0)
    channels = MultiGridPatches(options.get("levels", 1), 0.0, options.get("boundary", "circular")).channels(3)
    inner = inner or TFNO((4, 4), channels, 1, 8, 2, coordinates=False, rank=0.3)
    return PatchedNetwork(inner, **options)


def test_a_constant_field_gives_different_patches():
    y = patched()(torch.ones(1, 1, 16, 16))
    tiles = cut(y, 2)[0]
    assert all((tiles[i] - tiles[j]).abs().max() > 1e-4 for i in range(4) for j in range(i))


def test_without_levels_and_padding_it_is_the_inner_network():
    torch.manual_seed(1)
    whole = FNO((4, 4), 1, 1, 8, 2)
    inner = FNO((4, 4), 3, 1, 8, 2, coordinates=False)
    inner.load_state_dict({k: v for k, v in whole.state_dict().items() if "normalizer" not in k}, strict=False)
    a = torch.randn(2, 1, 16, 12)
    torch.testing.assert_close(PatchedNetwork(inner, levels=0, padding=0.0)(a), whole(a))


@pytest.mark.parametrize("options", [{}, {"boundary": "mask", "antialias": True}, {"levels": 2, "padding": [0.0, [0.25, 0.0]]}])
def test_rescaled_data_give_rescaled_predictions(options):
    network = patched(**options)
    a, u = torch.randn(4, 1, 16, 24), torch.randn(4, 1, 16, 24)
    network.fit_normalizers(a, u)
    before = network(a)
    assert before.shape == u.shape
    network.fit_normalizers(3 * a + 1, 10 * u - 2)
    torch.testing.assert_close(network(3 * a + 1), 10 * before - 2, atol=1e-4, rtol=1e-4)
    assert all((p.grad is None) for p in network.parameters())


def test_few_patches_at_a_time_change_neither_values_nor_gradients():
    a = torch.randn(3, 1, 16, 16)
    results = []
    for at_once in (None, 5):
        network = patched(patches_per_call=at_once).double()
        y = network(a.double())
        y.square().sum().backward()
        results.append([y, *(p.grad for p in network.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


def test_a_settings_file_builds_it():
    parser = ArgumentParser()
    parser.add_subclass_arguments(nn.Module, "network")
    inner = {"class_path": "pdeflow.models.TFNO", "init_args": {"n_modes": [4, 4], "in_channels": 8, "coordinates": False}}
    options = {"network": inner, "levels": 1, "padding": [0.0, [0.25, 0.0]], "boundary": "mask", "antialias": True}
    settings = {"class_path": "pdeflow.models.patched_network.PatchedNetwork", "init_args": options}
    network = parser.instantiate_classes(parser.parse_object({"network": settings})).network
    assert network(torch.zeros(1, 1, 16, 16)).shape == (1, 1, 16, 16)
    assert network.patches == MultiGridPatches(1, network.patches.padding, "mask", True)
    assert network.patches.patch_shape((16, 16)) == (8, 12)


REFUSED = {
    "grid 100 is not divisible by 2**levels=8": lambda: MultiGridPatches(3).split(torch.zeros(1, 1, 100)),
    "levels must be 0 or more, got -1": lambda: MultiGridPatches(-1),
    "boundary must be one of circular, reflect, symmetric, mask, got 'edge'": lambda: MultiGridPatches(boundary="edge"),
    "shares of an axis in [0, 1]": lambda: MultiGridPatches(padding=-0.1),
    "is for 3 axes, the grid has 2": lambda: MultiGridPatches(padding=(0.1, 0.1, 0.1)).axes((8, 8)),
    "expected patches (batch * 4, c, 6, 6), got (4, 1, 4, 4)": lambda: MultiGridPatches(padding=0.125).stitch(
        torch.zeros(4, 1, 4, 4), (8, 8)
    ),
    "in_channels=1; with 2 views of 1 fields + 2 coordinates and 1 outputs set in_channels: 6": lambda: PatchedNetwork(
        FNO((4, 4), coordinates=False)
    ),
    "set out_channels: 2": lambda: PatchedNetwork(FNO((4, 4), 6, 1, coordinates=False), out_channels=2),
    "set its coordinates: false": lambda: PatchedNetwork(FNO((4, 4), 6)),
    "use distributed: gather": lambda: patched(distributed="tiles", blend=True),
    "patches_per_call must be 1 or more": lambda: patched(patches_per_call=0),
    "n_modes=4 exceeds grid 3": lambda: patched(padding=0.0).check_grid((6, 16)),
    "grid 15 is not divisible by 2**levels=2": lambda: patched().check_grid((15, 16)),
    "network is 2-D": lambda: PatchedNetwork(FNO((4, 4), 6, coordinates=False)).check_grid((16,)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_misuse_is_refused_in_one_line(message):
    with pytest.raises(ValueError) as error:
        REFUSED[message]()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
