"""Two processes compute what one does: shared patches and slabs, predictions, losses and gradients (gloo, on the CPU)."""

import json
import os
import socket

import pytest
import torch
import torch.distributed
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.nn.parallel import DistributedDataParallel

from pdeflow.cli.main import leave
from pdeflow.losses import DistributedRelativeL2, RelativeH1, RelativeL2
from pdeflow.models import FNO, TFNO, SpectralConv
from pdeflow.models.patched_network import PatchedNetwork
from pdeflow.models.spatial_sharding import SpatiallySharded, transform_slab
from pdeflow.models.truncated_fourier import truncated_transform

PROCESSES = 2
SMALL = {"n_modes": (4, 4), "hidden_channels": 8, "n_layers": 2}
LINE = ((PROCESSES,), [Shard(2)])
SHARDED = {
    "FNO": (lambda: FNO(**SMALL, norm="group_norm"), *LINE),
    "TFNO": (lambda: TFNO(**SMALL, rank=0.3, path="fft"), *LINE),
    "joint": (lambda: TFNO(**SMALL, rank=0.3, joint=True, preactivation=True), *LINE),
    "depthwise": (lambda: FNO(**SMALL, factorization="depthwise"), *LINE),
    "3-D": (lambda: FNO((4, 2, 4), hidden_channels=4, n_layers=1), *LINE),
    "batches beside slabs": (lambda: FNO(**SMALL), (1, PROCESSES), [Shard(0), Shard(2)]),
    "batches beside one slab": (lambda: FNO(**SMALL), (PROCESSES, 1), [Shard(0), Shard(2)]),
    "copies of one slab": (lambda: FNO(**SMALL), (PROCESSES, 1), [Replicate(), Shard(2)]),
}
"""Networks, sides of the mesh of processes, placements of the fields on it."""


def fields(*grid):
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(2, 1, *grid, generator=generator, dtype=torch.float64) for _ in range(2))


def patched(distributed, coarse=False):
    torch.manual_seed(0)
    inner = TFNO((4, 4), 8 if coarse else 6, 1, 8, 2, coordinates=False, rank=0.3)
    network = PatchedNetwork(inner, levels=1, distributed=distributed, coarse=FNO(**SMALL) if coarse else None).double()
    network.fit_normalizers(*(3 * x + 1 for x in fields(16, 24)))
    return network


def gradients(network, loss):
    loss.backward()
    whole = (p.grad.full_tensor() if hasattr(p.grad, "full_tensor") else p.grad for p in network.parameters())
    return torch.cat([g.flatten() for g in whole])


def difference(one, other):
    return ((one - other).abs().max() / one.abs().max()).item()


def patches_by_ddp():
    a, u = fields(16, 24)
    for name, distributed, loss, coarse in (
        ("gathered patches, L2", "gather", RelativeL2(), False),
        ("gathered patches, H1", "gather", RelativeH1(), True),
        ("own tiles", "tiles", DistributedRelativeL2(), False),
        ("own tiles of a coarse prediction", "tiles", DistributedRelativeL2(), True),
    ):
        alone, together = patched(None, coarse), patched(distributed, coarse)
        reference = (RelativeL2() if distributed == "tiles" else loss)(alone(a), u)
        parallel = DistributedDataParallel(together)
        shared = loss(parallel(a), u)
        yield f"{name}: loss", difference(reference.detach(), shared.detach())
        yield f"{name}: gradient", difference(gradients(alone, reference), gradients(together, shared))
        yield f"{name}: prediction", difference(alone(a).detach(), together.eval()(a).detach())


def slabs_by_dtensor():
    for name, (make, sides, placements) in SHARDED.items():
        a, u = fields(8, 6, 10) if name == "3-D" else fields(16, 12)
        mesh = init_device_mesh("cpu", sides)
        torch.manual_seed(2)
        alone = make().double()
        torch.manual_seed(2)
        together = SpatiallySharded(make().double(), mesh)
        a_slabs, u_slabs = (distribute_tensor(x, mesh, placements) for x in (a, u))
        reference, shared = alone(a), together(a_slabs)
        assert shared.placements == tuple(placements)
        yield f"slabs, {name}: prediction", difference(reference.detach(), shared.full_tensor().detach())
        losses = (reference - u).square().mean(), (shared - u_slabs).square().mean()
        yield f"slabs, {name}: gradient", difference(*map(gradients, (alone, together), losses))


def messages_of_a_layer():
    mesh = init_device_mesh("cpu", (PROCESSES,))
    layer = SpatiallySharded(nn.Sequential(SpectralConv(3, 3, (4, 4))), mesh).network
    x = distribute_tensor(torch.randn(2, 16, 12, 3), mesh, [Shard(1)])
    with CommDebugMode() as messages:
        layer(x)
    yield "messages of a layer", {str(name): count for name, count in messages.get_comm_counts().items()}


def different_samples(rank):
    a, _ = fields(16, 24)
    try:
        patched("gather")(a + rank)
    except ValueError as error:
        yield "different samples", str(error)


def work(rank, port, file):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=PROCESSES)
    found = {}
    for results in (patches_by_ddp(), slabs_by_dtensor(), messages_of_a_layer(), different_samples(rank)):
        found |= dict(results)
    (file / f"{rank}.json").write_text(json.dumps(found))
    leave(0)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, args=(port, folder), nprocs=PROCESSES)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(PROCESSES)]


@pytest.mark.parametrize("what", ["loss", "gradient", "prediction"])
@pytest.mark.parametrize("how", ["gathered patches, L2", "gathered patches, H1", "own tiles"])
def test_processes_that_share_patches_equal_one(found, how, what):
    assert max(results[f"{how}: {what}"] for results in found) <= 1e-12


@pytest.mark.parametrize("network", SHARDED)
def test_processes_that_share_slabs_equal_one(found, network):
    assert max(results[f"slabs, {network}: prediction"] for results in found) <= 1e-12
    assert max(results[f"slabs, {network}: gradient"] for results in found) <= 1e-12


def test_a_sharded_layer_sends_its_coefficients_once_and_nothing_else(found):
    for results in found:
        assert list(results["messages of a layer"].values()) == [1]
        assert "all_reduce" in next(iter(results["messages of a layer"]))


def test_different_samples_are_noticed(found):
    assert all("use_distributed_sampler" in results["different samples"] for results in found)


@pytest.mark.parametrize("parts", [(3, 4), (1, 1, 5)])
def test_the_terms_of_slabs_add_up_to_the_coefficients(parts):
    x = torch.randn(2, sum(parts), 9, 3, dtype=torch.float64)
    begin = [sum(parts[:i]) for i in range(len(parts))]
    terms = [transform_slab(slab, (4, 5), sum(parts), first) for first, slab in zip(begin, x.split(parts, 1), strict=True)]
    torch.testing.assert_close(sum(terms), truncated_transform(x, (4, 5)), atol=1e-14, rtol=0)


def test_one_process_alone_is_the_ordinary_loss():
    a, u = fields(8, 8)
    assert DistributedRelativeL2()(a, u) == pytest.approx(RelativeL2()(a, u).item(), rel=1e-6)
    tiles = a.unflatten(3, (2, 4)).unflatten(2, (2, 4)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    assert DistributedRelativeL2()(tiles, u) == pytest.approx(RelativeL2()(a, u).item(), rel=1e-6)
    exact = u.clone().requires_grad_()
    DistributedRelativeL2()(exact, u).backward()
    assert not exact.grad.any()


def test_what_cannot_be_sharded_is_refused():
    with pytest.raises(ValueError, match="domain_padding: 0"):
        SpatiallySharded(FNO(**SMALL, domain_padding=0.1), None)
    with pytest.raises(ValueError, match="only 2- and 3-D"):
        SpatiallySharded(FNO((4,)), None)
