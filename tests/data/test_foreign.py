from pathlib import Path

import numpy as np
import pytest
import torch

from pdeflow.data import PDEDataset, check, describe, export_neuralop, import_files
from pdeflow.data.foreign import split_of
from pdeflow.errors import DataError, UsageError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
FILES = [SHARED / "darcy_train_16.pt", SHARED / "darcy_test_16.pt"]
needs_shared = pytest.mark.skipif(
    not FILES[0].is_file(), reason="the public files in ../shared/data are absent"
)


@needs_shared
def test_the_public_darcy_files_come_in_unchanged(tmp_path):
    root = import_files(FILES, tmp_path / "public", valid=100)
    assert check(root) == []
    found = describe(root)
    assert {name: split["count"] for name, split in found["splits"].items()} == {
        "train": 900,
        "valid": 100,
        "test": 50,
    }
    assert found["problem"] is None
    assert (found["grid"]["location"], found["fields"]["a"]["units"]) == ("node", "unknown")
    assert "unknown provenance" in found["solver"]
    raw = torch.load(FILES[0], weights_only=True)
    train, valid = (PDEDataset(root, split).tensors() for split in ("train", "valid"))
    assert torch.equal(torch.cat([train[0], valid[0]])[:, 0], raw["x"].float())
    assert torch.equal(torch.cat([train[1], valid[1]])[:, 0], raw["y"])
    assert set(train[0].unique().tolist()) == {0.0, 1.0}
    assert PDEDataset(root, "test").problem is None


@needs_shared
def test_files_of_another_shape_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"\(800, 16\) and solutions \(800, 17, 16\) must have one shape"):
        import_files([SHARED / "burgers_train_16.pt"], tmp_path / "burgers")
    assert not (tmp_path / "burgers").exists()


def save(path, count=4, n=5, **changes):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, n, n, generator=generator)
    torch.save({"x": x > 0.5, "y": x} | changes, path)
    return path


def test_export_and_import_are_inverse(made, tmp_path):
    files = export_neuralop(made, tmp_path / "pt")
    assert [file.name for file in files] == ["darcy_train_8.pt", "darcy_valid_8.pt", "darcy_test_8.pt"]
    root = import_files(files, tmp_path / "back")
    for split in ("train", "valid", "test"):
        for one, two in zip(
            PDEDataset(made, split).tensors(), PDEDataset(root, split).tensors(), strict=True
        ):
            assert torch.equal(one, two)
    with pytest.raises(UsageError, match="exists"):
        export_neuralop(made, tmp_path / "pt")


def test_npy_pairs_keep_their_precision(tmp_path):
    a, u = np.random.default_rng(0).standard_normal((2, 6, 4, 3))
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "u.npy", u)
    root = import_files([tmp_path / "a.npy", tmp_path / "u.npy"], tmp_path / "out", valid=2, name="mine")
    found = PDEDataset(root, "valid", dtype=torch.float64)
    np.testing.assert_array_equal(found.tensors()[0][:, 0], a[-2:])
    np.testing.assert_array_equal(found.tensors()[1][:, 0], u[-2:])
    assert describe(root)["name"] == "mine"
    assert check(root) == []


def test_neuralops_own_loader_reads_our_files(made, tmp_path, capsys):
    """The contract of PTDataset: NAME_train_RES.pt and NAME_test_RES.pt, x and y without an axis of channels."""
    from neuralop.data.datasets.pt_dataset import PTDataset

    export_neuralop(made, tmp_path)
    theirs = PTDataset(
        tmp_path,
        "darcy",
        n_train=6,
        n_tests=[3],
        batch_size=2,
        test_batch_sizes=[1],
        train_resolution=8,
        test_resolutions=[8],
    )
    for split, found in (("train", theirs.train_db), ("test", theirs.test_dbs[8])):
        ours = PDEDataset(made, split)
        assert len(found) == len(ours)
        for i in range(len(ours)):
            assert torch.equal(found[i]["x"], ours[i]["a"])  # (1, 8, 8)
            assert torch.equal(found[i]["y"], ours[i]["u"])
    normalizer = theirs.data_processor.out_normalizer
    torch.testing.assert_close(
        normalizer.mean.reshape(()), PDEDataset(made).tensors()[1].mean(), rtol=1e-5, atol=0
    )


def test_trajectories_do_not_become_pt_files(heat, tmp_path):
    with pytest.raises(
        UsageError, match=r"u0, u in 4 frames; .pt files hold one input and one solution, use --to npy"
    ):
        export_neuralop(heat, tmp_path / "pt")


@pytest.mark.parametrize(
    ("name", "split"),
    [("darcy_test_16.pt", "test"), ("darcy_train_16.pt", "train"), ("my-val.pt", "valid"), ("evaluation.pt", "train"),
     ("validation_8.pt", "valid"), ("Latest.pt", "train")],
)  # fmt: skip
def test_the_split_is_a_word_of_the_file_name(name, split):
    assert split_of(Path(name)) == split


def test_wrong_calls_are_usage_errors(tmp_path):
    file, out = save(tmp_path / "train.pt"), tmp_path / "out"
    with pytest.raises(UsageError, match="not found"):
        import_files([tmp_path / "none.pt"], out)
    with pytest.raises(UsageError, match="must leave training samples, there are 4"):
        import_files([file], out, valid=4)
    with pytest.raises(UsageError, match="two files for the train split"):
        import_files([file, save(tmp_path / "other.pt")], out)
    import_files([file], out)
    with pytest.raises(UsageError, match="holds a dataset already"):
        import_files([file], out)


def test_unusable_files_are_data_errors_and_leave_nothing(tmp_path):
    out = tmp_path / "out"
    (tmp_path / "text.pt").write_text("no tensors")
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "cut.pt").write_bytes(save(tmp_path / "whole.pt").read_bytes()[:200])
    np.save(tmp_path / "whole.npy", np.zeros((4, 5, 5)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:200])
    cases = [
        ([tmp_path / "text.pt"], "unknown format or damaged .* begins with b'no tenso'"),
        ([tmp_path / "text.npy"] * 2, "unknown format or damaged"),
        ([tmp_path / "cut.pt"], "not a readable .pt file"),
        ([tmp_path / "cut.npy"] * 2, "not a readable .npy file"),
        ([save(tmp_path / "a.pt", y=3)], "must hold tensors x and y"),
        ([save(tmp_path / "b.pt", y=torch.full((4, 5, 5), torch.nan))], "'u' of sample 0 is not finite"),
        ([save(tmp_path / "c.pt"), save(tmp_path / "test.pt", n=6)], "different grids"),
    ]
    for files, message in cases:
        with pytest.raises(DataError, match=message):
            import_files(files, out)
    assert not out.exists()
