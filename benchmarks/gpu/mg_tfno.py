"""FNO, TFNO and MG-TFNO on forcing → vorticity at Re 500, 128²: errors, activations, seams; and step times beside neuraloperator.

Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, TMLR 2024, section 4: ω_t + u·∇ω = Δω/Re + f on the periodic
square of side 2π, from rest, f Gaussian with covariance 27² (-Δ + 9)^-4; the map is f ↦ ω(T). Reference on twice the grid by
ETDRK4, no aliasing, stored by Fourier truncation. `--tiny` runs everything in two minutes on a CPU, where errors mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pdeflow import seeds
from pdeflow.losses import RelativeL2, relative_h1, relative_l2
from pdeflow.models import FNO, TFNO
from pdeflow.models.domain_decomposition import MultiGridPatches, seam_ratio
from pdeflow.models.patched_network import PatchedNetwork
from pdeflow.problems import ForcedVorticity
from pdeflow.problems.forced_vorticity import truncated

RESULT = Path(__file__).resolve().parents[1] / "results" / "gpu" / "mg_tfno.md"
REYNOLDS, LAYERS = 500.0, 4


@dataclass(frozen=True)
class Size:
    """Everything that --tiny makes small."""

    side: int = 128
    modes: int = 64
    width: int = 64
    train: int = 10_000
    test: int = 2_000
    epochs: int = 50
    batch: int = 16
    solve: int = 250
    time: float = 5.0
    steps: int = 2000
    large: int = 1024
    timed: int = 20


TINY = Size(side=32, modes=8, width=8, train=16, test=4, epochs=2, batch=8, solve=20, steps=800, large=128, timed=2)


def dataset(size: Size, device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw forcings and march them in batches on twice the grid; both shape (N, 1, side, side)."""
    problem, pairs = ForcedVorticity(final_time=size.time, viscosity=1 / REYNOLDS), []
    grid, side = problem.grid((2 * size.side,) * 2), (size.side,) * 2
    for first in range(0, size.train + size.test, size.solve):
        ids = range(first, min(first + size.solve, size.train + size.test))
        drawn = (problem.sample(seeds.generator(0, seeds.INPUTS, i)) for i in ids)
        f = torch.stack([instance.fields["f"].on(grid) for instance in drawn]).float().to(device)
        pairs.append([truncated(field, side)[:, None] for field in (f, problem.march(f, grid, size.steps))])
    a, u = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return a, u


def tfno(modes: int, width: int, in_channels: int = 1) -> TFNO:
    rank = (width // 2, width // 2, modes // 2, modes // 4 + 1)
    return TFNO((modes, modes), in_channels, 1, width, LAYERS, rank=rank, coordinates=False)


def patched(size: Size, padding: float, blend: bool, corrects: bool = False) -> PatchedNetwork:
    inner = tfno(size.modes // 2, size.width, MultiGridPatches(1).channels(1 + corrects))
    coarse = tfno(size.modes // 2, size.width) if corrects else None
    return PatchedNetwork(inner, coarse=coarse, levels=1, padding=padding, blend=blend, coordinates=False)


def networks(size: Size) -> dict[str, nn.Module]:
    """Networks without coordinates: the law is the same everywhere on the torus."""
    return {
        "FNO": FNO((size.modes, size.modes), 1, 1, size.width, LAYERS, coordinates=False),
        "TFNO": tfno(size.modes, size.width),
        "MG-TFNO, padding 1/16": patched(size, 1 / 16, False),
        "MG-TFNO, padding 7/64, blended": patched(size, 7 / 64, True),
        "MG-TFNO, padding 7/64, blended, coarse network": patched(size, 7 / 64, True, True),
    }


def peers(size: Size) -> dict[str, nn.Module]:
    from neuralop import models

    shape = {"n_modes": (size.modes,) * 2, "in_channels": 1, "out_channels": 1, "hidden_channels": size.width, "n_layers": LAYERS}
    shape["positional_embedding"] = None
    return {"FNO": models.FNO(**shape), "TFNO": models.TFNO(**shape, factorization="Tucker", rank=0.1)}


def autocast(device: torch.device, bf16: bool) -> contextlib.AbstractContextManager[object]:
    return torch.autocast(device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()


def fit(network: nn.Module, a: Tensor, u: Tensor, size: Size, bf16: bool) -> float:
    """Train on the first samples and return the seconds."""
    a, u = a[: size.train], u[: size.train]
    network.fit_normalizers(a, u)
    steps = size.epochs * math.ceil(size.train / size.batch)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    loss, began = RelativeL2(), time.perf_counter()
    for epoch in range(size.epochs):
        order = torch.randperm(size.train, generator=seeds.generator(0, seeds.ORDER, epoch)).to(a.device)
        for index in order.split(size.batch):
            optimizer.zero_grad()
            with autocast(a.device, bf16):
                prediction = network(a[index])
            loss(prediction.float(), u[index]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    if not bool(torch.isfinite(prediction).all()):
        raise RuntimeError("the training diverged")
    return time.perf_counter() - began


@torch.no_grad()
def errors(network: nn.Module, a: Tensor, u: Tensor, size: Size) -> tuple[float, float, float]:
    """Mean relative L2 and H1 errors over the last samples, and the predictions' seam ratio over that of the solutions."""
    a, u = a[size.train :], u[size.train :]
    p = torch.cat([network(part) for part in a.split(size.batch)])
    seam = (seam_ratio(p, 1) / seam_ratio(u, 1)).mean().item()
    h1 = relative_h1(p, u, [2 * math.pi] * 2, periodic=True, derivative="spectral")
    return relative_l2(p, u).mean().item(), h1.mean().item(), seam


def activations(network: nn.Module, x: Tensor) -> int:
    """Bytes that a forward pass of one input keeps for the backward pass, parameters not counted."""
    own = {p.untyped_storage().data_ptr() for p in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}
    alive = []

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(x)
    return sum(kept.values())


def samples_per_second(network: nn.Module, a: Tensor, u: Tensor, size: Size, bf16: bool) -> float:
    """Rate of forward, backward and AdamW."""
    optimizer, loss = torch.optim.AdamW(network.parameters(), 1e-4), RelativeL2()
    wait: Callable[[], None] = torch.cuda.synchronize if a.is_cuda else lambda: None

    def step() -> None:
        optimizer.zero_grad()
        with autocast(a.device, bf16):
            prediction = network(a)
        loss(prediction.float(), u).backward()
        optimizer.step()

    for _ in range(3):
        step()
    wait()
    times = []
    for _ in range(size.timed):
        began = time.perf_counter()
        step()
        wait()
        times.append(time.perf_counter() - began)
    return len(a) / sorted(times)[len(times) // 2]


def accuracy_table(size: Size, device: torch.device, bf16: bool) -> list[str]:
    a, u = dataset(size, device)
    lines = [
        f"{size.train} training and {size.test} test samples, {size.epochs} epochs, batch {size.batch}, width {size.width}, "
        f"{size.modes} modes, root mean square of ω(T) {u.square().mean().sqrt():.2f}.",
        "",
        "| network | real parameters | training s | rel. L2 | rel. H1 | seam ratio | activations per input, MiB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    large: list[str] = []
    for name, network in networks(size).items():
        torch.manual_seed(0)
        network.to(device)
        seconds = fit(network, a, u, size, bf16)
        l2, h1, seam = errors(network.eval(), a, u, size)
        count = sum(p.numel() for p in network.parameters())
        inner, x = network, a[:1]
        if isinstance(network, PatchedNetwork):
            m = network.patches.patch_shape(a.shape[2:])
            fields = 1 + (network.coarse is not None)
            inner, x = network.network, a.new_zeros(1, network.patches.channels(fields), *m)
        memory = activations(inner.train(), x) / 2**20
        lines.append(f"| {name} | {count} | {seconds:.0f} | {l2:.4f} | {h1:.4f} | {seam:.3f} | {memory:.1f} |")
        print(lines[-1], flush=True)
        if isinstance(network, PatchedNetwork):
            large.append(f"- {name}: {large_field(network.eval(), size, device)}")
    return [*lines, "", f"On {size.large}², a patch at a time:", "", *large]


@torch.no_grad()
def large_field(network: PatchedNetwork, size: Size, device: torch.device) -> str:
    """Predict on a large grid, a patch at a time."""
    network.patches_per_call = 1
    problem = ForcedVorticity()
    drawn = problem.sample(seeds.generator(0, seeds.INPUTS, 0)).fields["f"]
    a = drawn.on(problem.grid((size.large, size.large)))[None, None].float().to(device)
    if a.is_cuda:
        torch.cuda.reset_peak_memory_stats()
    seam = seam_ratio(network(a), 1).item()
    peak = f", peak memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB" if a.is_cuda else ""
    return f"seam ratio {seam:.3f}{peak}."


def throughput_table(size: Size, device: torch.device) -> list[str]:
    lines = [
        "| network | precision | neuralop | ours | ours, compiled | ratio | ratio, compiled |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    a, u = torch.randn(2, size.batch, 1, size.side, size.side, device=device)
    ours, theirs = networks(size), peers(size)
    for name in theirs:
        for bf16 in (False, True):
            torch.compiler.reset()
            peer = samples_per_second(theirs[name].to(device), a, u, size, bf16)
            network = ours[name].to(device)
            eager = samples_per_second(network, a, u, size, bf16)
            compiled = samples_per_second(torch.compile(network), a, u, size, bf16)
            precision = "bf16 autocast" if bf16 else "float32"
            rates = f"{peer:.1f} | {eager:.1f} | {compiled:.1f} | {eager / peer:.2f} | {compiled / peer:.2f}"
            lines.append(f"| {name} | {precision} | {rates} |")
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="small enough for a smoke test on a CPU")
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--train", type=int, default=None)
    parser.add_argument("--bf16", action="store_true", help="train under bf16 autocast")
    parser.add_argument("--only", choices=("accuracy", "throughput"), default=None)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.name}")
    options = parser.parse_args()
    changed = {key: value for key in ("epochs", "train") if (value := getattr(options, key)) is not None}
    size = dataclasses.replace(TINY if options.tiny else Size(), **changed)
    device = torch.device(options.device)
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    lines = [
        f"# FNO, TFNO and MG-TFNO: forcing → vorticity, Re {REYNOLDS:.0f}, {size.side}²",
        "",
        f"On {machine}; torch {torch.__version__}, Python {platform.python_version()}, {os.cpu_count()} processors. Written by "
        "`benchmarks/gpu/mg_tfno.py`.",
        "",
    ]
    if options.only != "throughput":
        lines += [*accuracy_table(size, device, options.bf16), ""]
    if options.only != "accuracy":
        lines += ["Samples per second of forward, backward and AdamW:", "", *throughput_table(size, device)]
    print("\n".join(lines))
    if options.write:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
