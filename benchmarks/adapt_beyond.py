"""Experiments around training: a basis for solves, a black-box simulator, weights of losses, error bars; rows of benchmarks/adapt.py."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.optimize as so
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from pdeflow.adapt.derivative_free import SPSA, PolyStep
from pdeflow.adapt.langevin import Langevin
from pdeflow.adapt.loss_weights import Rates, tune_loss_weights
from pdeflow.adapt.streaming_pod import StreamingPOD
from pdeflow.discretization import diffusion_system
from pdeflow.geometry import Grid
from pdeflow.linalg import deflated_cg


def diffusion(coefficient: np.ndarray) -> Any:
    """Finite volumes for -∇·(a∇u) on the unit square, zero on its edge, a per cell."""
    a = torch.from_numpy(coefficient)
    return diffusion_system(Grid.unit(a.shape), a, torch.ones_like(a)).A


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
