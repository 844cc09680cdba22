"""Counter-based random streams: sample i of a run depends on (root seed, stream, i) and on nothing else.

L'Ecuyer et al., Math. Comput. Simul. 135 (2017): independent streams keyed by counters; numpy.random.SeedSequence.
"""

from __future__ import annotations

import numpy as np
import torch

INPUTS, BOUNDARY, GEOMETRY, NOISE, SOLVE, ORDER, FRESH = range(7)
"""Streams: random inputs, boundary data, geometry, noise, systems of `pdeflow solve`, order of training samples, samples drawn while training."""


def generator(root: int, stream: int, index: int) -> torch.Generator:
    """Return the CPU generator of one sample.

    Args:
        root: Root seed of the run, non-negative.
        stream: What is drawn, one of the constants of this module.
        index: Number of the sample, non-negative.

    Returns:
        A fresh torch generator; equal arguments give equal states on every machine and in every process.

    Raises:
        ValueError: If root, stream or index is negative.
    """
    if min(root, stream, index) < 0:
        raise ValueError(f"seed, stream and index must be >= 0, got {root}, {stream}, {index}")
    state = np.random.SeedSequence(root, spawn_key=(stream, index)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
