"""Walks on spheres need only distances and closest points: unbiased with exact distances and with lower bounds."""

import math

import pytest
import torch

from pdeflow import seeds
from pdeflow.geometry import Polygon

POINTS, WALKS, SHELL = 40, 1000, 1e-4


def star(corners=1000):
    theta = 2 * math.pi * torch.arange(corners, dtype=torch.float64) / corners
    radius = 1 + 0.3 * torch.cos(5 * theta)
    return Polygon(torch.stack([radius * theta.cos(), radius * theta.sin()], dim=1))


def harmonic(x):
    return x[:, 0] ** 2 - x[:, 1] ** 2 + x[:, 0]


def walk(domain, start, generator, bounded):
    """Walk until the shell is reached; return boundary values, steps and exact queries per walk.

    Muller, Ann. Math. Stat. 27 (1956). With bounds, the exact distance is asked for near the boundary only: a sphere
    smaller than the largest inscribed one leaves the mean value property intact.
    """
    x, alive = start.clone(), torch.arange(len(start))
    steps = queries = 0
    while len(alive):
        here = x[alive]
        radius = domain.distance_lower_bound(here) if bounded else domain.distance(here)
        near = torch.nonzero(radius < 10 * SHELL).flatten() if bounded else torch.arange(0)
        radius[near] = domain.distance(here[near]) if len(near) else radius[near]
        queries += len(near) if bounded else len(alive)
        inside = radius > SHELL
        alive, radius = alive[inside], radius[inside]
        angle = 2 * math.pi * torch.rand(len(alive), generator=generator, dtype=torch.float64)
        x[alive] += radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
        steps += len(alive)
    return harmonic(domain.project(x).point), steps / len(start), queries / max(steps, 1)


@pytest.mark.parametrize("bounded", [False, True])
def test_walks_are_unbiased_for_a_harmonic_function(bounded):
    domain = star()
    centres = domain.sample_interior(POINTS, generator=seeds.generator(2, seeds.NOISE, 0))
    start = centres.repeat_interleave(WALKS, dim=0)
    values, steps, queries = walk(domain, start, seeds.generator(2, seeds.NOISE, 1), bounded)
    values = values.reshape(POINTS, WALKS)
    error = values.mean(1) - harmonic(centres)
    z = error / (values.std(1) / math.sqrt(WALKS)).clamp(min=SHELL)
    assert 0.6 < float(z.pow(2).mean().sqrt()) < 1.5
    assert abs(float(z.mean())) < 4 / math.sqrt(POINTS)
    assert 8 < steps < 40
    assert (queries < 0.9) == bounded
