"""What the tools of pdeflow.adapt bring, one small experiment each, on one thread; `--only NAME` repeats one of them."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import copy
import itertools
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize as so
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from pdeflow import seeds
from pdeflow.adapt.derivative_free import SPSA, PolyStep
from pdeflow.adapt.langevin import Langevin
from pdeflow.adapt.loss_weights import Rates, tune_loss_weights
from pdeflow.adapt.low_rank_adapters import adapter_state, attach_adapters, merge_adapters
from pdeflow.adapt.merging import merge_operators
from pdeflow.adapt.orthogonality import OrthogonalityPenalty
from pdeflow.adapt.preconditioned_adapters import AdaPreLoRA
from pdeflow.adapt.streaming_pod import StreamingPOD
from pdeflow.discretization.fourier import FourierGrid
from pdeflow.discretization.time_stepping import march
from pdeflow.linalg import deflated_cg
from pdeflow.losses import relative_l2
from pdeflow.models import FNO
from pdeflow.problems import Burgers
from pdeflow.problems.spectral_equation import SpectralEquation

RESULT = Path(__file__).resolve().parent / "results" / "adapt.md"
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


low_rank.head = ["fine-tuned", "trained numbers", "rate 1e-3", "rate 3e-3", "rate 1e-2"]  # type: ignore[attr-defined]


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


merging.head = ["operator", "thrice the size", "rough"]  # type: ignore[attr-defined]


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


averaging.head = ["training", "seed 0", "seed 1", "seed 2"]  # type: ignore[attr-defined]


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


orthogonality.head = [  # type: ignore[attr-defined]
    "weight of the penalty", *(f"{pairs} pairs, {steps} applications" for pairs in (8, 64) for steps in (1, 20, 100)),
]  # fmt: skip


def diffusion(coefficient: np.ndarray) -> sp.csr_array:
    """Finite volumes for -∇·(a∇u) on the unit square, zero on its edge, a per cell, shape (n, n)."""
    n = len(coefficient)
    numbers = np.arange(n * n).reshape(n, n)
    rows, columns, values, diagonal = [], [], [], np.zeros((n, n))
    for a, k in ((coefficient, numbers), (coefficient.T, numbers.T)):
        face = 2 * a[1:] * a[:-1] / (a[1:] + a[:-1])
        rows += [k[1:].ravel(), k[:-1].ravel()]
        columns += [k[:-1].ravel(), k[1:].ravel()]
        values += [-face.ravel()] * 2
        total = np.vstack((2 * a[:1], face)) + np.vstack((face, 2 * a[-1:]))
        diagonal += total if k is numbers else total.T
    rows, columns, values = (np.concatenate(part) for part in (rows, columns, values))
    return sp.csr_array(sp.coo_array((values, (rows, columns)), shape=(n * n, n * n)) + sp.diags_array(diagonal.ravel()))


def smooth(n: int, waves: int, rng: np.random.Generator) -> np.ndarray:
    t = (np.arange(n) + 0.5) / n
    sines = np.sin(np.pi * np.outer(np.arange(1, waves + 1), t))
    return sines.T @ rng.standard_normal((waves, waves)) @ sines


def streaming_pod() -> Iterator[str]:
    """100 systems -∇·(a∇u) = f on 48² cells, log a a random sum of 3 × 3 waves; mean steps of CG without preconditioner to 1e-6 on the
    last 50, and the share of the energy of these solutions that the basis misses."""
    for name, waves_of_f in (("smooth, 3 × 3 waves", 3), ("rough, 40 × 40 waves", 40)):
        rng, n, k = np.random.default_rng(0), 48, 20
        pod, own, steps, kept = StreamingPOD(n * n, k, rng=rng), None, np.zeros((100, 4)), []
        for i in range(100):
            A, b = diffusion(np.exp(0.3 * smooth(n, 3, rng))), smooth(n, waves_of_f, rng).ravel()
            basis, stored = pod.recycle(), (np.linalg.svd(np.array(kept).T, full_matrices=False)[0][:, :k] if kept else np.zeros((n * n, 0)))
            spaces = [None, own, basis if i else None, basis.__class__(stored) if i else None]
            found = [deflated_cg(A, b, rtol=1e-6, k=k, recycle=space) for space in spaces]
            own, steps[i] = found[1].recycle, [solution.iterations for solution in found]
            kept.append(found[0].x)
            pod.update(found[0].x)
        late, basis = np.array(kept[50:]).T, pod.basis()
        missed = 1 - np.linalg.norm(basis.T @ late) ** 2 / np.linalg.norm(late) ** 2
        yield f"| {name} | {' | '.join(f'{mean:.0f}' for mean in steps[50:].mean(0))} | {missed:.1e} |"


streaming_pod.head = [  # type: ignore[attr-defined]
    "sources", "CG", "recycling (def-CG, k = 20)", "streaming POD, k = 20", "POD of all stored solutions, k = 20", "energy missed",
]  # fmt: skip


def rod(log_conductivity: np.ndarray) -> np.ndarray:
    """Temperatures at 12 sensors, rounded to 0.01, of a rod of 6 zones heated from within."""
    a = np.exp(np.repeat(np.clip(log_conductivity, -5, 5), 10))
    face = np.concatenate(([2 * a[0]], 2 * a[1:] * a[:-1] / (a[1:] + a[:-1]), [2 * a[-1]])) * 60**2
    A = sp.diags_array([face[1:] + face[:-1], -face[1:-1], -face[1:-1]], offsets=[0, 1, -1]).toarray()
    return np.round(np.linalg.solve(A, np.full(60, 8.0))[2::5], 2)


def derivative_free() -> Iterator[str]:
    """Six log conductivities of a rod from 12 temperatures that the simulator rounds to 0.01 (largest 1): root mean square error after
    at most 600 runs of the simulator, one column per draw of the truth from N(0, 0.5²), start at zero."""
    truths = [0.5 * np.random.default_rng(seed).standard_normal(6) for seed in range(5)]

    def ours(kind: type, options: dict[str, Any], per_step: int, decay: float, truth: np.ndarray, seed: int) -> np.ndarray:
        theta, target = nn.Parameter(torch.zeros(6, dtype=torch.float64)), rod(truth)
        optimizer = kind([theta], seed=seed, **options)
        steps = 600 // per_step
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: decay ** (i / steps))
        for _ in range(steps):
            optimizer.step(lambda: float(np.mean((rod(theta.detach().numpy()) - target) ** 2)))
            schedule.step()
        return theta.detach().numpy()

    def scipys(method: str, truth: np.ndarray, seed: int) -> np.ndarray:
        target = rod(truth)
        budget = {
            "Nelder-Mead": {"maxfev": 600, "initial_simplex": np.vstack((np.zeros(6), 0.3 * np.eye(6)))}, "Powell": {"maxfev": 600},
            "L-BFGS-B": {"maxfun": 600, "eps": 0.1},
        }  # fmt: skip
        loss = lambda theta: float(np.mean((rod(theta) - target) ** 2))  # noqa: E731
        return np.asarray(so.minimize(loss, np.zeros(6), method=method, options=budget[method]).x)

    runs: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
        "start": lambda truth, seed: np.zeros(6),
        "SPSA, lr 1, radius 0.1": lambda truth, seed: ours(SPSA, {"lr": 1.0, "radius": 0.1}, 2, 0.1, truth, seed),
        "SPSA, lr 3, radius 0.1": lambda truth, seed: ours(SPSA, {"lr": 3.0, "radius": 0.1}, 2, 0.1, truth, seed),
        "PolyStep, lr 0.3, temperature 0.3": lambda truth, seed: ours(
            PolyStep, {"lr": 0.3, "temperature": 0.3, "dimension": 6}, 12, 0.05, truth, seed),
        "PolyStep, lr 1, temperature 0.3": lambda truth, seed: ours(
            PolyStep, {"lr": 1.0, "temperature": 0.3, "dimension": 6}, 12, 0.05, truth, seed),
        "Nelder-Mead, simplex 0.3 (SciPy)": lambda truth, seed: scipys("Nelder-Mead", truth, seed),
        "Powell (SciPy)": lambda truth, seed: scipys("Powell", truth, seed),
        "L-BFGS, differences of 0.1 (SciPy)": lambda truth, seed: scipys("L-BFGS-B", truth, seed),
    }  # fmt: skip
    for name, run in runs.items():
        found = [np.sqrt(np.mean((run(truth, seed) - truth) ** 2)) for seed, truth in enumerate(truths)]
        yield f"| {name} | {' | '.join(f'{e:.3f}' for e in found)} | {statistics.median(found):.3f} |"


derivative_free.head = ["method", *(f"draw {i}" for i in range(5)), "median"]  # type: ignore[attr-defined]


def loss_weights() -> Iterator[str]:
    """-u'' = f on a line, 12 sine coefficients, from three terms: residual with a source that is 30 % too large, 20 sensors with noise 0.05,
    20 sensors with a bias of 0.2. Validation: 5 sensors with noise 0.05. Relative L² of u, median of five draws, and gradients of terms."""
    k = torch.arange(1, 13, dtype=torch.float64)

    def at(points: Tensor) -> Tensor:
        return torch.sin(torch.pi * points[:, None] * k) / k**2

    found: dict[str, list[float]] = {}
    chosen = []
    for seed in range(5):
        torch.manual_seed(seed)
        draw = lambda *shape: torch.randn(*shape, dtype=torch.float64)  # noqa: E731
        u, t = draw(12) / k, (torch.arange(100, dtype=torch.float64) + 0.5) / 100
        size = (at(t) @ u).square().mean().sqrt()
        places = [torch.rand(n, dtype=torch.float64) for n in (20, 20, 5)]
        noise = [0.05 * draw(20), 0.2 + 0.05 * draw(20), 0.05 * draw(5)]
        data = [at(x) @ u / size + e for x, e in zip(places, noise, strict=True)]
        residual, source = torch.sin(torch.pi * t[:, None] * k), 1.3 * (torch.sin(torch.pi * t[:, None] * k) @ u) / size

        def terms(y: Tensor) -> Tensor:
            first = (residual @ y - source).square().mean()  # noqa: B023
            return torch.stack([first, *((at(x) @ y - d).square().mean() for x, d in zip(places[:2], data[:2], strict=True))])  # noqa: B023

        def check(y: Tensor) -> Tensor:
            return (at(places[2]) @ y - data[2]).square().mean()  # noqa: B023

        def best(weights: Tensor) -> Tensor:
            parts = [(residual, source), *((at(x), d) for x, d in zip(places[:2], data[:2], strict=True))]  # noqa: B023
            scale = [(w / len(d)).sqrt() for w, (_, d) in zip(weights, parts, strict=True)]
            A = torch.cat([s * m for s, (m, _) in zip(scale, parts, strict=True)])
            return torch.linalg.lstsq(A, torch.cat([s * d for s, (_, d) in zip(scale, parts, strict=True)])[:, None]).solution[:, 0]

        grid = [torch.tensor(w, dtype=torch.float64) for w in itertools.product((1e-3, 1e-2, 1e-1, 1.0), repeat=3)]
        for steps in (1000, 5000):
            weights, y = tune_loss_weights(terms, check, torch.zeros(12, dtype=torch.float64), steps,
                                           rates=Rates(outer=0.1, inner=0.2, penalty=0.1))  # fmt: skip
            found.setdefault(f"LV-HBA, {steps} steps, its parameters", []).append(_field_error(y, u / size, at(t)))
            found.setdefault(f"LV-HBA, {steps} steps, its weights", []).append(_field_error(best(weights), u / size, at(t)))
        chosen.append(weights)
        candidates = {
            "equal weights": best(torch.ones(3, dtype=torch.float64)),
            "validation sensors alone, least norm": torch.linalg.lstsq(at(places[2]), data[2][:, None], driver="gelsd").solution[:, 0],
            "best of 64 weights by validation, exact solves": min(map(best, grid), key=check),
        }
        for name, y in candidates.items():
            found.setdefault(name, []).append(_field_error(y, u / size, at(t)))
    for name, errors in found.items():
        yield f"| {name} | {statistics.median(errors):.3f} |"
    yield f"| weights that LV-HBA chose, median: {', '.join(f'{w:.2f}' for w in torch.stack(chosen).median(0).values.tolist())} | |"


loss_weights.head = ["fit", "relative L²"]  # type: ignore[attr-defined]


def _field_error(y: Tensor, exact: Tensor, values: Tensor) -> float:
    return ((values @ (y - exact)).norm() / (values @ exact).norm()).item()


def langevin() -> Iterator[str]:
    """A field on a line from 24 readings with noise 0.1, network 1-24-1 tanh, prior N(0, 2²): relative L² and share of 200 points whose
    value lies in the band of two standard deviations (95 % is right), median of three draws."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        t = torch.linspace(0, 1, 200, dtype=torch.float64)[:, None]
        wave = torch.randn(4, generator=generator, dtype=torch.float64)
        field = lambda x, wave=wave: torch.sin(torch.pi * x * torch.arange(1, 5)) @ wave[:, None] / 2  # noqa: E731
        x = torch.rand(24, 1, generator=generator, dtype=torch.float64)
        y = field(x) + 0.1 * torch.randn(24, 1, generator=generator, dtype=torch.float64)

        def network(seed: int) -> nn.Module:
            torch.manual_seed(seed)
            return nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 1)).double()

        def fit(optimizer: torch.optim.Optimizer, model: nn.Module, steps: int, every: int = 0) -> Tensor:
            seen = []
            for step in range(steps):
                optimizer.zero_grad()
                ((model(x) - y).square().sum() / (2 * 0.1**2)).backward()  # noqa: B023
                optimizer.step()
                if every and step >= steps // 4 and step % every == 0:
                    with torch.no_grad():
                        seen.append(model(t))  # noqa: B023
            with torch.no_grad():
                return torch.stack(seen) if every else model(t)  # noqa: B023

        def score(name: str, mean: Tensor, band: Tensor | None) -> None:
            exact = field(t)  # noqa: B023
            inside = float("nan") if band is None else ((mean - exact).abs() <= 2 * band).double().mean().item()
            rows.setdefault(name, []).append(((mean - exact).norm().item() / exact.norm().item(), inside))

        alone = [fit(torch.optim.AdamW((m := network(s)).parameters(), 1e-2, weight_decay=0.0), m, 2000) for s in range(5)]
        score("AdamW, one network", alone[0], None)
        score("AdamW, five networks", torch.stack(alone).mean(0), torch.stack(alone).std(0))
        model = network(0)
        fit(torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=0.0), model, 1000)
        sampler = Langevin(model.parameters(), lr=1e-4, temperature=1.0, weight_decay=1 / 4, burn_in=5000, seed=seed)
        seen = fit(sampler, model, 20_000, every=20)
        score("Langevin, last sample", seen[-1], None)
        score("Langevin, mean and deviation of the predictions", seen.mean(0), seen.std(0))
        sampler.swap_mean()
        with torch.no_grad():
            score("Langevin, prediction of the mean weights", model(t), None)
    for name, found in rows.items():
        error, inside = (statistics.median(column) for column in zip(*found, strict=True))
        yield f"| {name} | {error:.3f} | {'' if inside != inside else f'{100 * inside:.0f} %'} |"


langevin.head = ["fit", "relative L²", "in the band"]  # type: ignore[attr-defined]


EXPERIMENTS: dict[str, Callable[[], Iterator[str]]] = {
    "low_rank": low_rank, "merging": merging, "orthogonality": orthogonality, "streaming_pod": streaming_pod,
    "derivative_free": derivative_free, "loss_weights": loss_weights, "langevin": langevin, "averaging": averaging,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=EXPERIMENTS, default=None)
    only = parser.parse_args().only
    torch.set_num_threads(1)
    text = RESULT.read_text() if RESULT.exists() else ""
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, flags=re.S | re.M))
    for name, experiment in EXPERIMENTS.items():
        if only in (None, name):
            start, rows = time.process_time(), []
            for row in experiment():
                rows.append(row)
                print(row, flush=True)
            head: list[str] = experiment.head  # type: ignore[attr-defined]
            parts[name] = "\n".join([
                "", " ".join((experiment.__doc__ or "").split()) + f" {time.process_time() - start:.0f} s.", "",
                f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1), *rows, "", "",
            ])  # fmt: skip
    lines = ["# The tools of pdeflow.adapt", "", f"{' '.join((__doc__ or '').split())} {platform.machine()}, torch "
             f"{torch.__version__}. Regenerate with `python benchmarks/adapt.py`.", ""]  # fmt: skip
    text = "\n".join(lines) + "\n" + "".join(f"## {name}\n{parts[name]}" for name in EXPERIMENTS if name in parts)
    RESULT.write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    main()
