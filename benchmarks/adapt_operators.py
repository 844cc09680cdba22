"""Experiments with trained operators: fine-tuning, merging, averaging, and a penalty on a time step; rows of benchmarks/adapt.py."""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pdeflow import seeds
from pdeflow.adapt.low_rank_adapters import adapter_state, attach_adapters, merge_adapters
from pdeflow.adapt.merging import merge_operators
from pdeflow.adapt.orthogonality import OrthogonalityPenalty
from pdeflow.adapt.preconditioned_adapters import AdaPreLoRA
from pdeflow.discretization.fourier import FourierGrid
from pdeflow.discretization.time_stepping import march
from pdeflow.losses import relative_l2
from pdeflow.models import FNO
from pdeflow.problems import Burgers
from pdeflow.problems.spectral_equation import SpectralEquation

Pairs = tuple[Tensor, Tensor]


def burgers(viscosity: float, count: int, seed: int, points: int = 64, **initial: float) -> Pairs:
    """Draw initial fields of Burgers' equation and their states at time 1/2, shape (count, 1, points) each."""
    problem = Burgers(viscosity=viscosity, **initial)
    grid = problem.grid((points,))
    drawn = [problem.sample(seeds.generator(seed, seeds.INPUTS, i)).fields["u0"].on(grid) for i in range(count)]
    start, space = torch.stack(drawn), FourierGrid.of(grid)
    path = march(SpectralEquation.of(problem, grid, start), space.forward(start), [0.0, 0.25, 0.5])
    return start[:, None].float(), space.inverse(path.frames[-1])[:, None].float()


def trained(network: nn.Module, data: Pairs, steps: int, optimizer: torch.optim.Optimizer, seed: int = 0, batch: int = 16,
            after: Callable[[], Any] | None = None) -> nn.Module:  # fmt: skip
    """Train by the relative L² error with a cosine rate."""
    order = torch.Generator().manual_seed(seed)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        pick = torch.randint(len(data[0]), (min(batch, len(data[0])),), generator=order)
        optimizer.zero_grad()
        relative_l2(network(data[0][pick]), data[1][pick]).mean().backward()
        optimizer.step()
        schedule.step()
        if after is not None:
            after()
    return network


@torch.no_grad()
def error(network: nn.Module, data: Pairs) -> float:
    return relative_l2(network(data[0]), data[1]).mean().item()


def trainable(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def fresh() -> FNO:
    return FNO([16], hidden_channels=24, n_layers=3)


def base_operator(seed: int) -> nn.Module:
    """An operator for viscosity 0.05."""
    torch.manual_seed(seed)
    network, data = fresh(), burgers(0.05, 256, 1)
    network.input_normalizer.fit(data[0])
    network.output_normalizer.fit(data[1])
    return trained(network, data, 600, torch.optim.AdamW(network.parameters(), 3e-3), seed)


def fine_tuned(base: nn.Module, data: Pairs, how: str, rate: float, seed: int, rank: int = 4, steps: int = 200) -> nn.Module:
    torch.manual_seed(seed)
    if how == "from scratch":
        network = fresh()
        network.input_normalizer.fit(data[0])
        network.output_normalizer.fit(data[1])
    elif how == "all weights":
        network = copy.deepcopy(base)
    else:
        network = attach_adapters(base, rank)
    free = [p for p in network.parameters() if p.requires_grad]
    optimizer = AdaPreLoRA(network, rate) if how == "AdaPreLoRA" else torch.optim.AdamW(free, rate)
    return trained(network, data, steps, optimizer, seed)


def low_rank() -> Iterator[str]:
    """Fine-tuning an FNO from viscosity 0.05 to 0.01 by 24 samples: Burgers, 64 points, 200 steps; mean relative L² on 128 others,
    mean of two seeds, by learning rate."""
    test, data = burgers(0.01, 128, 5), burgers(0.01, 24, 3)
    bases = [base_operator(seed) for seed in range(2)]
    before = statistics.mean(error(base, test) for base in bases)
    yield f"| operator before | 0 | {before:.3f} | {before:.3f} | {before:.3f} |"
    cases = (("from scratch", 0), ("all weights", 0), ("LoRA", 1), ("LoRA", 4), ("AdaPreLoRA", 1), ("AdaPreLoRA", 4))
    for how, rank in cases:
        cells = []
        for rate in (1e-3, 3e-3, 1e-2):
            found = [fine_tuned(base, data, how, rate, seed, rank) for seed, base in enumerate(bases)]
            cells.append(f"{statistics.mean(error(network, test) for network in found):.3f}")
        yield f"| {how}{f', rank {rank}' if rank else ''} | {trainable(found[0])} | {' | '.join(cells)} |"
    adapted, x = attach_adapters(bases[0], 4), test[0][:16]
    for name, network, state in (
        ("with adapters", adapted, adapter_state(adapted)), ("merged", merge_adapters(adapted), bases[0].state_dict()),
    ):  # fmt: skip
        times = [_timed(lambda network=network: network(x)) for _ in range(30)]
        yield f"| {name}: {1e3 * statistics.median(times):.1f} ms for 16 fields, {sum(p.numel() for p in state.values())} numbers | | | | |"




def _timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    with torch.no_grad():
        call()
    return time.perf_counter() - start


def merging() -> Iterator[str]:
    """One operator of two that were fine-tuned (rank 4, 64 samples) to initial fields of thrice the size and to rough ones, viscosity 0.05;
    mean relative L² on 128 samples of each, median of three seeds."""
    tasks = [{"scale": 75.0}, {"tau": 20.0, "alpha": 1.5}]
    tests = [burgers(0.05, 128, 5, **task) for task in tasks]
    data = [burgers(0.05, 64, 3, **task) for task in tasks]
    both = (torch.cat([d[0] for d in data]), torch.cat([d[1] for d in data]))
    table: dict[str, list[list[float]]] = {}
    for seed in range(3):
        base = base_operator(seed)
        one, two = (fine_tuned(base, d, "LoRA", 1e-2, seed) for d in data)
        networks = {"before": base, "fine-tuned to the first": one, "fine-tuned to the second": two}
        networks["mean of updates (task arithmetic)"] = merge_operators([one, two])
        networks["sum of updates"] = merge_operators([one, two], scale=2.0)
        networks["lengths and directions apart"] = merge_operators([one, two], decoupled=True)
        for stiffness in (0.1, 1.0, 10.0):
            networks[f"the same, made orthogonal (DO-merging), γ {stiffness:g}"] = merge_operators(
                [one, two], decoupled=True, orthogonal_steps=50, stiffness=stiffness
            )
        networks["fine-tuned to both at once, 400 steps"] = fine_tuned(base, both, "LoRA", 1e-2, seed, steps=400)
        for name, network in networks.items():
            table.setdefault(name, []).append([error(network, test) for test in tests])
    for name, rows in table.items():
        yield f"| {name} | " + " | ".join(f"{statistics.median(column):.3f}" for column in zip(*rows, strict=True)) + " |"




def averaging() -> Iterator[str]:
    """Averages of weights (torch's AveragedModel, as in Lightning's callbacks) of an FNO for Burgers at viscosity 0.05, 600 steps
    from 256 samples; mean relative L² on 128 others, one column per seed."""
    data, test = burgers(0.05, 256, 1), burgers(0.05, 128, 5)
    table: dict[str, list[float]] = {}
    for seed in range(3):
        table.setdefault("cosine rate, no average", []).append(error(base_operator(seed), test))
        torch.manual_seed(seed)
        network = fresh()
        network.input_normalizer.fit(data[0])
        network.output_normalizer.fit(data[1])
        swa = torch.optim.swa_utils
        kinds = {f"decay {decay}": swa.get_ema_multi_avg_fn(decay) for decay in (0.95, 0.98, 0.999)}
        averages = {name: swa.AveragedModel(network, multi_avg_fn=kind) for name, kind in kinds.items()}
        optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
        pick = torch.Generator().manual_seed(seed)
        for _ in range(600):
            batch = torch.randint(256, (16,), generator=pick)
            optimizer.zero_grad()
            relative_l2(network(data[0][batch]), data[1][batch]).mean().backward()
            optimizer.step()
            for average in averages.values():
                average.update_parameters(network)
        table.setdefault("constant rate, no average", []).append(error(network, test))
        for name, average in averages.items():
            table.setdefault(f"constant rate, exponential average, {name}", []).append(error(average, test))
    for name, found in table.items():
        yield f"| {name} | " + " | ".join(f"{e:.4f}" for e in found) + " |"




class Stepper(nn.Module):
    """A convolutional time step on a periodic line."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        sizes = [1, width, width, 1]
        self.layers = nn.ModuleList(
            nn.Conv1d(m, n, 5, padding=2, padding_mode="circular") for m, n in itertools.pairwise(sizes)
        )

    def forward(self, u: Tensor) -> Tensor:
        """Map fields (batch, 1, points) to the next ones."""
        *inner, last = self.layers
        for layer in inner:
            u = nn.functional.silu(layer(u))
        return last(u)


def waves(count: int, seed: int, steps: int) -> Tensor:
    """Random fields of eight waves on 64 points after `steps` shifts by 0.6 cells, shape (count, 1, 64)."""
    k = torch.arange(1, 9)
    draw = torch.randn(2, count, 8, generator=torch.Generator().manual_seed(seed)) / k
    spectrum = torch.zeros(count, 33, dtype=torch.complex64)
    spectrum[:, 1:9] = torch.complex(draw[0], draw[1]) * torch.exp(-2j * torch.pi * k * 0.6 * steps / 64)
    return torch.fft.irfft(spectrum * 16, n=64)[:, None]


def roll_out(weight: float, pairs: int, seed: int) -> list[float]:
    """Train a step on noisy pairs; return its errors after 1, 20 and 100 applications."""
    torch.manual_seed(seed)
    network = Stepper()
    penalty = OrthogonalityPenalty(network)
    x, y = (u + 0.05 * torch.randn_like(u) for u in (waves(pairs, 0, 0), waves(pairs, 0, 1)))
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)
    for _ in range(600):
        optimizer.zero_grad()
        (relative_l2(network(x), y).mean() + weight * penalty()).backward()
        optimizer.step()
        schedule.step()
    u, found = waves(32, 9, 0), {}
    with torch.no_grad():
        for step in range(1, 101):
            u = network(u)
            found[step] = relative_l2(u, waves(32, 9, step)).mean().item()
    return [found[1], found[20], found[100]]


def orthogonality() -> Iterator[str]:
    """Roll-outs of a convolutional time step for advection by 0.6 cells, 64 points, 600 steps on pairs with noise 0.05; mean relative
    L² after 1, 20 and 100 applications on 32 other fields, median of three seeds."""
    for weight in (0.0, 1e-3, 1e-2, 1e-1):
        cells = []
        for pairs in (8, 64):
            rows = [roll_out(weight, pairs, seed) for seed in range(3)]
            cells += [f"{statistics.median(column):.2g}" for column in zip(*rows, strict=True)]
        yield f"| {weight:g} | {' | '.join(cells)} |"
