"""Sampling rate of Gaussian random fields beside the usual inverse cosine transform of a full table of noise.

One thread, processor time, medians of repeated blocks. Our fields keep a fixed table of 64 modes per axis, so that a seed gives the same
function at every resolution; the transform (SciPy's idctn, the way the published Darcy data were drawn) takes n modes per axis.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy.fft
import torch

from pdeflow import seeds
from pdeflow.geometry import Box, Grid
from pdeflow.geometry.mesh import Mesh
from pdeflow.random_fields import MeshFieldSampler, field_amplitudes, gaussian_random_field

RESULT = Path(__file__).resolve().parent / "results" / "random_fields.md"
ALPHA, TAU, MODES = 2.0, 3.0, 64
BAR = 500.0


def rate(draw: Callable[[], object], seconds: float, blocks: int = 5) -> float:
    """Fields a second of processor time, the median of several blocks."""
    draw()
    found = []
    for _ in range(blocks):
        count, start = 0, time.process_time()
        while time.process_time() - start < seconds / blocks:
            draw()
            count += 1
        found.append(count / (time.process_time() - start))
    return float(np.median(found))


def peer(n: int) -> Callable[[], np.ndarray]:
    """Inverse cosine transform of n x n coefficients, amplitudes computed once."""
    amplitude = n * field_amplitudes(Box.unit(2), ALPHA, TAU, kind="neumann", modes=n).numpy()
    generator = np.random.default_rng(0)
    return lambda: scipy.fft.idctn(amplitude * generator.standard_normal((n, n)), norm="ortho")


def ours(n: int, kind: str) -> Callable[[], torch.Tensor]:
    grid, box, generator = Grid.unit((n, n)), Box.unit(2), seeds.generator(0, seeds.INPUTS, 0)
    return lambda: gaussian_random_field(box, ALPHA, TAU, generator=generator, kind=kind, modes=MODES).on(
        grid
    )


def on_mesh(n: int) -> Callable[[], torch.Tensor]:
    sampler = MeshFieldSampler(Mesh.rectangle((n, n), (0.0, 0.0), (1.0, 1.0), "tri"), ALPHA, TAU)
    generator = seeds.generator(0, seeds.INPUTS, 0)
    return lambda: sampler.draw(generator)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grids", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each entry")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Gaussian random fields a second of processor time, one thread", "",
        f"alpha {ALPHA:g}, tau {TAU:g}, {MODES} modes per axis, float64, noise and amplitudes included; mesh: linear triangles on the same "
        f"squares, factored once. {platform.machine()}, torch {torch.__version__}, SciPy {scipy.__version__}. "
        "Regenerate with `python benchmarks/random_fields.py`.", "",
        "| grid | Neumann | Dirichlet | periodic | on a mesh (SPDE) | SciPy idctn, n modes |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for n in options.grids:
        rates = [rate(ours(n, kind), options.seconds) for kind in ("neumann", "dirichlet", "periodic")]
        if n == 128 and min(rates) < BAR:
            raise SystemExit(f"below the bar of {BAR:g} fields of 128² a second: {rates}")
        rates += [rate(on_mesh(n), options.seconds), rate(peer(n), options.seconds)]
        lines.append(f"| {n}² | " + " | ".join(f"{value:.0f}" for value in rates) + " |")
        print(lines[-1], flush=True)
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
