"""The reader of the_well opens our folder as one of its own."""

import numpy as np
import pytest
import torch
import yaml

from pdeflow.data import PDEDataset

the_well = pytest.importorskip("the_well.data", reason="the-well is not installed")


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_the_well_reads_the_same_numbers(made, split):
    ours = PDEDataset(made, split, dtype=torch.float64)
    theirs = the_well.WellDataset(path=str(made), well_split_name=split, n_steps_input=0, n_steps_output=1)
    assert len(theirs) == len(ours)
    for i in range(len(ours)):
        sample = theirs[i]
        assert torch.equal(sample["constant_fields"][..., 0], ours[i]["a"][0])  # (W, H, C_in)
        assert torch.equal(sample["output_fields"][0, ..., 0], ours[i]["u"][0])  # (1, W, H, C_out)
        torch.testing.assert_close(sample["space_grid"], ours.grid.coordinates(), rtol=0, atol=1e-15)
        assert sample["boundary_conditions"].tolist() == [[0, 0], [0, 0]]  # walls on both sides of both axes
    assert theirs.metadata.dataset_name == "darcy"
    assert theirs.metadata.constant_field_names[0] == ["a"]
    assert theirs.metadata.field_names[0] == ["u"]


def test_the_well_normalises_with_our_statistics(made):
    from the_well.data.normalization import ZScoreNormalization

    stats = yaml.safe_load((made / "stats.yaml").read_text())
    plain, normal = (
        the_well.WellDataset(
            path=str(made), well_split_name="train", n_steps_input=0, n_steps_output=1,
            use_normalization=flag, normalization_type=ZScoreNormalization if flag else None,
        )[0]
        for flag in (False, True)
    )  # fmt: skip
    expected = (plain["output_fields"] - stats["mean"]["u"]) / max(stats["std"]["u"], 1e-4)
    np.testing.assert_allclose(
        normal["output_fields"], expected, rtol=0, atol=1e-6
    )  # their statistics are float32


def test_the_well_refuses_input_steps_of_a_steady_dataset(made):
    with pytest.raises(AssertionError, match="1 steps is not enough"):
        the_well.WellDataset(path=str(made), well_split_name="train", n_steps_input=1, n_steps_output=1)


def test_the_well_reads_our_trajectories_in_windows(heat):
    ours = PDEDataset(heat, "train", dtype=torch.float64)
    theirs = the_well.WellDataset(
        path=str(heat), well_split_name="train", n_steps_input=1, n_steps_output=2, normalize_time_grid=False
    )
    assert len(theirs) == 3 * 2  # two windows of three frames in each trajectory of four
    for i in range(len(theirs)):
        sample, (trajectory, start) = theirs[i], divmod(i, 2)
        u = ours[trajectory]["u"]  # (4, W, H)
        assert torch.equal(sample["input_fields"][..., 0], u[start : start + 1])
        assert torch.equal(sample["output_fields"][..., 0], u[start + 1 : start + 3])
        assert torch.equal(sample["constant_fields"][..., 0], ours[trajectory]["a"][0])
        times = torch.cat([sample["input_time_grid"], sample["output_time_grid"]])
        np.testing.assert_allclose(times, ours.times[start : start + 3], rtol=1e-6)
        torch.testing.assert_close(sample["space_grid"], ours.grid.coordinates(), rtol=0, atol=1e-15)
        assert sample["boundary_conditions"].tolist() == [[2, 2], [2, 2]]  # periodic


def test_the_well_rolls_out_whole_trajectories_and_changes(heat):
    whole = the_well.WellDataset(path=str(heat), well_split_name="test", full_trajectory_mode=True)
    assert (len(whole), whole[0]["output_fields"].shape) == (2, (3, 12, 10, 1))
    from the_well.data.normalization import ZScoreNormalization

    changes = the_well.DeltaWellDataset(
        path=str(heat), well_split_name="train", n_steps_input=1, n_steps_output=1, use_normalization=True,
        normalization_type=ZScoreNormalization,
    )  # fmt: skip
    u = PDEDataset(heat, "train").tensors()[1]
    scale = yaml.safe_load((heat / "stats.yaml").read_text())
    expected = (u[0, 1] - u[0, 0] - scale["mean_delta"]["u"]) / max(scale["std_delta"]["u"], 1e-4)
    np.testing.assert_allclose(changes[0]["output_fields"][0, ..., 0], expected, atol=1e-4)
