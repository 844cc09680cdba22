import pytest
import torch

from pdeflow import seeds
from pdeflow.geometry import Box, Grid


def test_signed_distance_of_a_box_is_negative_inside_and_exact_outside():
    x = torch.tensor([[0.5, 0.4], [1.0, 0.3], [4.0, 5.0], [0.5, 1.25]], dtype=torch.float64)
    expected = torch.tensor([-0.4, 0.0, 5.0, 0.25], dtype=torch.float64)
    torch.testing.assert_close(Box.unit(2).sdf(x), expected, atol=1e-15, rtol=0)


def test_cell_centres_of_an_odd_refinement_contain_those_of_the_coarse_grid():
    coarse, fine = Grid.unit((8,)), Grid.unit((24,))
    torch.testing.assert_close(fine.axis(0)[1::3], coarse.axis(0), atol=1e-15, rtol=0)


def test_node_grid_reaches_both_ends_and_a_periodic_one_leaves_out_the_upper():
    assert Grid.unit((5,), location="node").axis(0).tolist() == [0, 0.25, 0.5, 0.75, 1.0]
    assert Grid.unit((4,), location="node", periodic=True).axis(0).tolist() == [0, 0.25, 0.5, 0.75]


def test_wrong_grids_are_refused_with_the_value():
    with pytest.raises(ValueError, match="-3"):
        Grid.unit((4, -3))
    with pytest.raises(ValueError, match="2-D but the grid has 3"):
        Box.unit(2).grid((4, 4, 4))


def test_streams_depend_on_every_counter():
    draws = {
        (r, s, i): torch.rand(1, generator=seeds.generator(r, s, i)).item()
        for r in range(3)
        for s in range(3)
        for i in range(3)
    }
    assert len(set(draws.values())) == 27
    assert draws[1, 2, 0] == torch.rand(1, generator=seeds.generator(1, 2, 0)).item()
