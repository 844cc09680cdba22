"""Seconds to a verified 1e-6 on a GPU in three dimensions: conjugate gradients, and deep conjugate directions with the learned V-cycle.

-∇·(a∇u) = f on 128³ and 256³ cells, a = 1 or the exponential of a few waves, one right-hand side and 32. Everything iterates in float64; the cycle computes in float32 or
bfloat16, called or replayed as a CUDA graph. Set-up (hierarchy, capture) is timed apart, and the training (on 16³ and 32³) is printed. The bars are at most 15
iterations, and a fifth of the seconds of the faster conjugate gradients (plain or Jacobi) at the largest grid. `--tiny` does it all on a CPU in a minute,
`--device cpu --columns 1 --repeats 0 --write` the large grids in an hour
(with MALLOC_MMAP_MAX_=0 and MALLOC_TRIM_THRESHOLD_=20000000000, so that the memory of large vectors is not given back after every operation).
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from pdeflow import seeds
from pdeflow.geometry import Box, Domain, Grid
from pdeflow.linalg import operators
from pdeflow.linalg.conjugate_window import inner, norm, times
from pdeflow.linalg.deep_conjugate_directions import dcdm
from pdeflow.models import DirectionNet, LearnedVCycle
from pdeflow.problems import Elliptic, Instance
from pdeflow.problems.instance import Function
from pdeflow.tasks import DirectionLearning

RESULTS = Path(__file__).resolve().parents[1] / "results"
PAPER = Path(__file__).resolve().parents[2] / "runs" / "deep_conjugate_directions" / "3d_papers_network.pt"
"""Where benchmarks/deep_conjugate_directions.py --train leaves the paper's network; without it that row is missing."""
RTOL, LOOK, BAR_ITERATIONS, BAR_RATIO = 1e-6, 10, 15, 5.0
QUIET = {
    "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0,
    "limit_val_batches": 0,
}  # fmt: skip
Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Waves(Elliptic):
    """-∇·(a∇u) = 1 in the unit cube, u = 0 on its boundary; a is the exponential of a few random cosine waves."""

    @property
    def domain(self) -> Domain:
        """The unit cube."""
        return Box.unit(3)

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw the amplitudes of 4³ waves."""
        c = torch.randn(4, 4, 4, generator=generator, dtype=torch.float64)
        return Instance({"a": Function(lambda points: waves(points, c))})

    def source(self, instance: Instance, at: Any) -> Tensor:
        """Return one."""
        return torch.ones((), dtype=torch.float64)


def waves(points: Tensor, amplitudes: Tensor) -> Tensor:
    """Return exp of a sum of cosines at points (..., 3); amplitudes fall with the frequency."""
    number = torch.arange(4, dtype=torch.float64)
    x, y, z = (torch.cos(math.pi * number * points[..., k, None]) / (1 + number) for k in range(3))
    return torch.exp(torch.einsum("...i,...j,...k,ijk->...", x, y, z, amplitudes))


def train(steps: int, device: torch.device) -> tuple[LearnedVCycle, float]:
    """Train the cycle on 16³ and 32³; returns it and its seconds."""
    torch.manual_seed(0)
    task = DirectionLearning(LearnedVCycle(dim=3), Waves(), grids=((16,) * 3, (32,) * 3), batch_size=4, steps_per_epoch=steps, instances=1)
    start = time.perf_counter()
    Trainer(max_steps=steps, accelerator="gpu" if device.type == "cuda" else "cpu", devices=1, **QUIET).fit(task)
    return task.network.to(device), time.perf_counter() - start


def cg(apply: Map, b: Tensor, inverse: Tensor | float = 1.0, most: int = 5000) -> tuple[int, float]:
    """Conjugate gradients for all columns, preconditioned by a diagonal: most steps of a column, worst true relative residual."""
    x, r = torch.zeros_like(b), b.clone()
    p, goal = inverse * r, (RTOL * norm(b)) ** 2
    rho, steps = inner(r, p), torch.zeros(len(b), dtype=torch.int64, device=b.device)
    for k in range(most):
        open_ = inner(r, r) > goal
        if k % LOOK == 0 and not bool(open_.any()):
            break
        Ap = apply(p)
        alpha = torch.where(rho > 0, rho / inner(p, Ap), 0.0)
        x, r = x + times(alpha, p), r - times(alpha, Ap)
        steps += open_
        z = inverse * r
        before, rho = rho, inner(r, z)
        p = z + times(torch.where(before > 0, rho / before, 0.0), p)
    return int(steps.max()), float((norm(b - apply(x)) / norm(b)).max())


class Graphed:
    """A function of one tensor, replayed as a CUDA graph; its answer is valid until the next call.

    Args:
        function: What is captured.
        example: Input of the shape and type of every later one.
    """

    def __init__(self, function: Map, example: Tensor) -> None:
        self.input, stream = example.clone(), torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(stream):
            function(self.input)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self.graph):
            self.output = function(self.input)

    def __call__(self, v: Tensor) -> Tensor:
        """Replay for v."""
        self.input.copy_(v)
        self.graph.replay()
        return self.output


def clock(device: torch.device) -> float:
    """Seconds, after all that was launched."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(call: Callable[[], tuple[int, float]], device: torch.device, repeats: int) -> tuple[int, float, float]:
    """Iterations, worst true residual, and the shortest of some runs in seconds after one that warms up, with no repeats of that one."""
    start = clock(device)
    iterations, residual = call()
    taken = [] if repeats else [clock(device) - start]
    for _ in range(repeats):
        start = clock(device)
        call()
        taken.append(clock(device) - start)
    return iterations, residual, min(taken)


def learned(apply: Map, b: Tensor, directions: Map, window: int = 2) -> tuple[int, float]:
    """Deep conjugate directions, looked at every step: iterations and worst true residual."""
    found = dcdm(apply, b, directions, rtol=RTOL, guard=None, window=window, recompute_every=LOOK, check_every=1, maxiter=200)
    return int(found.iterations.max()), float(found.residual.max())


def candidates(cycle: LearnedVCycle, a: Tensor, spacing: tuple[float, ...], device: torch.device) -> list[tuple[str, Callable[[], Map], bool, int]]:
    """Name, how to build the map, whether it becomes a CUDA graph, and the window, of everything that learned."""
    found: list[tuple[str, Callable[[], Map], bool, int]] = []
    for dtype in (torch.float32, torch.bfloat16):
        for graph in (False, True) if device.type == "cuda" else (False,):
            name = f"learned V-cycle, {str(dtype).removeprefix('torch.')}{', CUDA graph' if graph else ''}"
            found.append((name, lambda d=dtype: cycle.on_device(a[None, None], spacing, d).directions, graph, 2))
    if PAPER.exists():  # trained on Poisson's equation, which it cannot tell from others
        network = DirectionNet(3)
        network.load_state_dict(torch.load(PAPER, weights_only=True, map_location="cpu")["weights"])
        network.to(device)
        found.append(("paper's network, float32", lambda: lambda r: network(r.float()[:, None])[:, 0].to(r), False, 10))
    return found


def rows(cycle: LearnedVCycle, kind: str, side: int, count: int, device: torch.device, repeats: int) -> tuple[list[str], int, float]:
    """Lines of the table for one coefficient, grid and number of right-hand sides; the cycle's most iterations and best ratio."""
    grid = Grid.unit((side,) * 3)
    a = Waves().sample(seeds.generator(1, seeds.SOLVE, 0)).fields["a"].on(grid).to(device)
    a = torch.ones_like(a) if kind == "1" else a
    faces = operators.face_conductances(a, grid.spacing())
    b = torch.randn(count, *grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(device)
    b[0] = 1.0
    inverse = 1 / operators.diagonal(faces)

    def apply(v: Tensor) -> Tensor:
        return operators.apply(v, faces)

    lines, reference, most, best = [], math.inf, 0, 0.0
    for name, scale in (("CG, float64", 1.0), ("CG + Jacobi, float64", inverse)):
        iterations, residual, seconds = timed(lambda m=scale: cg(apply, b, m), device, repeats)
        reference = min(reference, seconds)
        lines.append(f"| {kind} | {side}³ | {count} | {name} | {iterations} | | {seconds:.3f} | {reference / seconds:.1f} | {residual:.1e} |")
    for name, build, graph, window in candidates(cycle, a, grid.spacing(), device):
        start = clock(device)
        try:
            directions = Graphed(build(), b) if graph else build()
            setup = clock(device) - start
            found = timed(lambda d=directions, w=window: learned(apply, b, d, w), device, repeats)
        except RuntimeError as error:  # out of memory, or a capture that this driver refuses
            lines.append(f"| {kind} | {side}³ | {count} | {name} | {type(error).__name__} | | | | |")
            continue
        iterations, residual, seconds = found
        lines.append(f"| {kind} | {side}³ | {count} | {name} | {iterations} | {setup:.3f} | {seconds:.3f} | {reference / seconds:.1f} | {residual:.1e} |")
        if window == 2:
            most, best = max(most, iterations), max(best, reference / seconds if residual <= RTOL else 0.0)
    return lines, most, best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="16³ and 32³, one and two right-hand sides, ten training steps.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sides", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--columns", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each method after one that warms up; 0 times that one.")
    parser.add_argument("--write", action="store_true", help="write the table: results/gpu/deep_conjugate_directions.md, of a CPU results/deep_conjugate_fine_grids.md.")
    options = parser.parse_args()
    if options.tiny:
        options.sides, options.columns, options.steps, options.repeats = [16, 32], [1, 2], 10, 1
    device = torch.device(options.device)
    gpu = device.type == "cuda"
    machine = torch.cuda.get_device_name(device) if gpu else f"a CPU, {platform.machine()}, {torch.get_num_threads()} thread(s)"
    memory = "".join(f"{name}={value} " for name, value in sorted(os.environ.items()) if name.startswith("MALLOC_"))
    runs = f"fastest of {options.repeats} runs after one that warms up" if options.repeats else "only run"
    cycle, seconds = train(options.steps, device)
    lines = [
        "# Deep conjugate directions in space", "",
        f"On {machine}; torch {torch.__version__}. The cycle was trained on 16³ and 32³ in {options.steps} steps, {seconds:.0f} s. Relative residual {RTOL:.0e}, recomputed "
        f"in float64; the last column is the worst. Seconds of the {runs}. Written by "
        f"`{memory}python benchmarks/gpu/deep_conjugate_directions.py {' '.join(sys.argv[1:])}`.", "",
        "| a | grid | right-hand sides | method | iterations | set-up s | solve s | faster CG / this | residual |", "|---|---|---:|---|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    print("\n".join(lines), flush=True)
    most, ratios = 0, []
    for kind in ("1", "waves"):
        for side in options.sides:
            for count in options.columns:
                more, iterations, best = rows(cycle, kind, side, count, device, options.repeats)
                print("\n".join(more), flush=True)
                lines += more
                most = max(most, iterations)
                ratios += [best] if side == max(options.sides) else []
    lines += [
        "", f"- At most {BAR_ITERATIONS} iterations: {'yes' if 0 < most <= BAR_ITERATIONS else 'no'}, {most}.",
        f"- {BAR_RATIO:.0f} times as fast as conjugate gradients at {max(options.sides)}³: {'yes' if min(ratios) >= BAR_RATIO else 'no'}, {min(ratios):.1f} to {max(ratios):.1f}.",
    ]  # fmt: skip
    print("\n".join(lines[-3:]), flush=True)
    if options.write:
        path = RESULTS / ("gpu/deep_conjugate_directions.md" if gpu else "deep_conjugate_fine_grids.md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
