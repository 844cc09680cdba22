"""Packed and padded batches hold the same numbers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mesh_cases import named_box, seeded
from torch.utils.data import DataLoader

from pdeflow.errors import UsageError
from pdeflow.geometry.mesh_batch import MeshBatch, collate, packed_to_padded, padded_to_packed


def samples(counts):
    generator = seeded(sum(counts))
    return [
        {"x": torch.rand(n, 2, generator=generator), "u": torch.rand(n, 3, generator=generator),
         "id": torch.arange(n), "nu": torch.tensor(0.1 * n)}
        for n in counts
    ]  # fmt: skip


@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_padded_and_packed_are_inverse(counts):
    batch = MeshBatch.pack(samples(counts))
    padded = batch.padded(fill=float("nan"))
    back = MeshBatch.from_padded(padded["x"], padded["mask"], {"u": padded["u"]})
    assert torch.equal(back.points, batch.points)
    assert torch.equal(back.ptr, batch.ptr)
    assert torch.equal(back.fields["u"], batch.fields["u"])
    assert padded["x"].shape == (len(counts), max(counts), 2)
    assert torch.equal(padded["mask"].sum(dim=1), torch.tensor(counts))
    assert padded["x"][~padded["mask"]].isnan().all()


@given(counts=st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_samples_come_back_and_batch_numbers_them(counts):
    given_samples = samples(counts)
    batch = MeshBatch.pack(given_samples)
    assert len(batch) == len(counts)
    for i, sample in enumerate(given_samples):
        assert all(torch.equal(batch[i][name], values) for name, values in sample.items())
        assert int((batch.batch == i).sum()) == counts[i]
    sums = torch.zeros(len(counts), 3).index_add(0, batch.batch, batch.fields["u"])
    torch.testing.assert_close(sums, batch.padded()["u"].sum(dim=1))


def test_a_data_loader_joins_meshes_of_different_sizes():
    meshes = [named_box("tri"), named_box("quad").refine(), named_box("tri").refine()]
    rows = [{"x": mesh.points, "w": mesh.node_weights(), "label": i} for i, mesh in enumerate(meshes)]
    (batch,) = DataLoader(rows, batch_size=3, collate_fn=collate)
    assert batch["x"].shape == (3, max(mesh.n_points for mesh in meshes), 2)
    torch.testing.assert_close(batch["w"].sum(dim=1), torch.full((3,), 2.0).double())  # the area of the box
    assert batch["label"].tolist() == [0, 1, 2]


def test_moving_keeps_integers():
    batch = MeshBatch.pack(samples([2, 3])).to("cpu", torch.float64)
    assert batch.points.dtype == batch.fields["u"].dtype == batch.scalars["nu"].dtype == torch.float64
    assert batch.fields["id"].dtype == batch.ptr.dtype == torch.int64
    assert batch.to().points.dtype == torch.float64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MeshBatch.pack([]), "samples with the key 'x', got 0 samples"),
        (lambda: MeshBatch.pack([{"x": torch.zeros(2, 2)}, {"y": 0}]), r"sample 1 has keys \['y'\]"),
        (lambda: MeshBatch.pack([{"x": torch.zeros(2, 2), "u": torch.zeros(3)}]), r"'u' of sample 0 has shape \(3,\)"),
        (lambda: MeshBatch(torch.zeros(3, 2), torch.tensor([0, 2])), "ptr must run from 0 to 3"),
        (lambda: MeshBatch(torch.zeros(3, 2), torch.tensor([0, 4, 3])), "must not decrease"),
        (lambda: MeshBatch(torch.zeros(1, 2), torch.tensor([0, 1]), {"u": torch.zeros(2)}), "field 'u' has 2 rows"),
        (lambda: padded_to_packed(torch.zeros(2, 3), torch.ones(2, 2)), r"boolean of shape \(2, 3\)"),
    ],
)  # fmt: skip
def test_wrong_batches_are_named(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_an_empty_sample_pads_to_nothing():
    padded, mask = packed_to_padded(torch.zeros(0, 2), torch.tensor([0, 0]))
    assert padded.shape == (1, 0, 2)
    assert mask.shape == (1, 0)
