"""Meshes and functions that the gradient tests share."""

import itertools
import math
from dataclasses import replace

import numpy as np
import torch
from scipy.spatial import Delaunay

from pdeflow.geometry.mesh import Mesh


def function(x):
    """f = sin 3x · e^y as one channel, shape (n, 1)."""
    return torch.sin(3 * x[..., :1]) * torch.exp(x[..., 1:2])


def exact_gradient(x):
    """∇f, shape (n, d); derivatives along further axes vanish."""
    wave = torch.exp(x[..., 1])
    parts = [3 * torch.cos(3 * x[..., 0]) * wave, torch.sin(3 * x[..., 0]) * wave]
    return torch.stack(parts + [torch.zeros_like(wave)] * (x.shape[-1] - 2), dim=-1)


def gradient_errors(operator, points, weights):
    """Relative L² error and largest error of the operator on f."""
    error = operator(function(points))[:, 0] - exact_gradient(points)
    total = (weights[:, None] * exact_gradient(points) ** 2).sum()
    return float(((weights[:, None] * error**2).sum() / total).sqrt()), float(error.abs().max())


def rates(errors):
    """Observed orders when the mesh size is halved each time."""
    return [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]


def unit_cell(n, jitter=0.0, hole=0.25):
    """Delaunay mesh of the unit square with a round hole: shifted rows of points, jitter in parts of 1/n."""
    h, draws = 1 / n, np.random.default_rng(0)
    t = np.arange(n) / n
    zero, one = 0 * t, 0 * t + 1
    square = [np.stack(side, axis=1) for side in ((t, zero), (one, t), (1 - t, one), (zero, 1 - t))]
    angle = 2 * math.pi * np.arange(round(2 * math.pi * hole * n)) / round(2 * math.pi * hole * n)
    rim = 0.5 + hole * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rows = int(n / math.sqrt(0.75))
    x = (t[None, :] + 0.5 * h * (np.arange(1, rows) % 2)[:, None]).ravel()
    inner = np.stack([x, np.repeat(np.arange(1, rows) / rows, n)], axis=1)
    inner = inner + jitter * h * draws.uniform(-1, 1, inner.shape)
    apart = (np.linalg.norm(inner - 0.5, axis=1) > hole + 0.6 * h) & (
        abs(inner - 0.5).max(axis=1) < 0.5 - 0.4 * h
    )
    points = np.concatenate([*square, rim, inner[apart]])
    cells = Delaunay(points).simplices
    outside = np.linalg.norm(points[cells].mean(axis=1) - 0.5, axis=1) > hole * math.cos(math.pi / len(angle))
    return Mesh(torch.from_numpy(points), torch.from_numpy(cells[outside].astype(np.int64)), "tri").oriented()


def perturbed(mesh, part):
    """Move the inner points at random by up to `part` of the mesh size."""
    inner = torch.ones(mesh.n_points, dtype=torch.bool)
    inner[mesh.boundary_nodes()] = False
    h = float(mesh.cell_measure().mean()) ** (1 / mesh.dim)
    noise = torch.rand(mesh.points.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return replace(mesh, points=mesh.points + part * h * (2 * noise - 1) * inner[:, None])
