"""Muon on a GPU: its step beside torch.optim.Muon's on real matrices, polar factors per second, and its share of an FNO's step.

The bar is 1.3 times the seconds of torch.optim.Muon, five steps of the same quintic each. Polar factors are those of the kinds of weights
that networks hold: many small complex matrices, few large real ones. Times are medians between synchronisations.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from pdeflow import optim
from pdeflow.models import FNO
from pdeflow.optim import polar
from pdeflow.tasks.parameter_groups import parameter_groups

RESULT = Path(__file__).resolve().parents[1] / "results" / "gpu" / "optimizers.md"
BAR = 1.3
WEIGHTS = {"24 of 1024 x 1024": (24, 1024, 1024), "48 of 256 x 1024": (48, 256, 1024), "96 of 64 x 64": (96, 64, 64)}
POLARS = {
    "2304 complex 32 x 32": (2304, 32, 32, torch.complex64), "2304 complex 64 x 64": (2304, 64, 64, torch.complex64),
    "16 real 1024 x 1024": (16, 1024, 1024, torch.float32), "16 real 512 x 2048": (16, 512, 2048, torch.float32),
}  # fmt: skip
METHODS = ("polar_express", "gram", "jordan5", "svd")


def milliseconds(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median time of a call, after two that are not counted."""
    found = []
    for k in range(repeats + 2):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if k > 1:
            found.append(1e3 * (time.perf_counter() - start))
    return statistics.median(found)


def matrices(shape: tuple[int, int, int], device: torch.device) -> list[nn.Parameter]:
    """Return real weights with gradients."""
    weights = [nn.Parameter(torch.randn(shape[1:], device=device)) for _ in range(shape[0])]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    return weights


def step_rows(device: torch.device, repeats: int, tiny: bool) -> list[str]:
    """Compare one step of both, and of ours in bfloat16 as torch's works."""
    rows = []
    for name, shape in WEIGHTS.items():
        sizes = (2, 32, 48) if tiny else shape
        theirs = torch.optim.Muon(matrices(sizes, device), lr=1e-3, weight_decay=0.0)
        ours = optim.Muon(matrices(sizes, device), lr=1e-3, polar="jordan5", polar_dtype="bfloat16")
        usual = optim.Muon(matrices(sizes, device), lr=1e-3)
        t, o, u = (milliseconds(optimizer.step, device, repeats) for optimizer in (theirs, ours, usual))
        verdict = "met" if o <= BAR * t else "missed"
        rows.append(f"| {name} | {t:.2f} | {o:.2f} ({o / t:.2f}, bar {BAR}: {verdict}) | {u:.2f} ({u / t:.2f}) |")
        print(rows[-1], flush=True)
    return rows


def polar_rows(device: torch.device, repeats: int, tiny: bool) -> list[str]:
    """Time every method on every kind of batch."""
    rows = []
    for name, (count, m, n, dtype) in POLARS.items():
        batch = torch.randn((2, 16, 24) if tiny else (count, m, n), dtype=dtype, device=device)
        times = [milliseconds(lambda batch=batch, method=method: polar(batch, method, 5), device, repeats) for method in METHODS]  # type: ignore[misc]
        rows.append(f"| {name} | " + " | ".join(f"{t:.2f}" for t in times) + " |")
        print(rows[-1], flush=True)
    return rows


def share_row(device: torch.device, repeats: int, tiny: bool) -> str:
    """Share of Muon in a training step of an FNO at 128², width 64."""
    network = (FNO((4, 4), hidden_channels=8) if tiny else FNO((32, 32), hidden_channels=64)).to(device)
    x = torch.randn((2, 1, 16, 16) if tiny else (16, 1, 128, 128), device=device)
    optimizer = optim.Muon(parameter_groups(network))

    def step() -> None:
        optimizer.zero_grad()
        network(x).square().mean().backward()

    forth = milliseconds(step, device, repeats)
    own = milliseconds(optimizer.step, device, repeats)
    return f"An FNO at 128², 32² modes, width 64, batch 16: forward and backward {forth:.1f} ms, Muon {own:.1f} ms, {own / (own + forth):.0%} of the step."


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="Small sizes, nothing written: that the script runs.")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    repeats = 2 if options.tiny else options.repeats
    lines = [
        "# Muon on a GPU", "", f"`python benchmarks/gpu/optimizers.py`; {name}, torch {torch.__version__}; milliseconds.", "",
        "| real weights | torch.optim.Muon | ours, the same quintic in bfloat16 | ours as it comes |", "|---|---:|---:|---:|",
        *step_rows(device, repeats, options.tiny), "",
        "| batch | " + " | ".join(METHODS) + " |", "|---|" + "---:|" * len(METHODS), *polar_rows(device, repeats, options.tiny), "",
        share_row(device, repeats, options.tiny),
    ]  # fmt: skip
    print(lines[-1])
    if not options.tiny:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
