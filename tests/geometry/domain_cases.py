"""Domains that the tests of tests/geometry share."""

import math

import torch

from pdeflow.geometry.domain import Annulus, Ball, Box, HalfSpace, Polygon, SdfDomain, StarShaped


def star_loop(sides=1000, jagged=1.0):
    theta = torch.arange(sides, dtype=torch.float64) * (2 * math.pi / sides)
    r = 1 + 0.2 * torch.cos(4 * theta) + 0.15 * torch.cos(8 * theta)
    r = torch.where(torch.arange(sides) % 2 == 0, r, jagged * r)
    return torch.stack([r * theta.cos(), r * theta.sin()], dim=1)


def square_with_hole():
    outer = [[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [1.0, 1.0], [1.0, 2.0], [0.0, 2.0]]  # an L
    hole = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]]
    return Polygon(outer, (hole,))


EXACT = {
    "interval": Box((-1.0,), (2.0,)),
    "box2": Box((0.0, -1.0), (2.0, 0.5)),
    "box3": Box.unit(3),
    "disk": Ball((0.5, -0.25), 0.75),
    "ball5": Ball((0.1,) * 5, 1.5),
    "annulus": Annulus((0.0, 0.5), 0.4, 1.0),
    "shell": Annulus((0.0, 0.0, 0.0), 0.5, 1.0),
    "polygon": square_with_hole(),
    "star polygon": Polygon(star_loop(200)),
    "star": StarShaped((1.0, 0.0, 0.1, 0.0, 0.15), (0.0, 0.05), (0.3, 0.2)),
    "turned box": Box.unit(2).rotate(0.4).translate((0.3, -0.1)),
    "rounded box": Box.unit(2).offset(0.2),
}
LEVEL_SET = SdfDomain(lambda x: x[:, 0] ** 2 + 4 * x[:, 1] ** 2 - 1, ((-1, 1), (-0.5, 0.5)), lipschitz=10.0)
COMBINED = {
    "lens": Ball((-0.5, 0.0), 1.0) & Ball((0.5, 0.0), 1.0),
    "pair": Ball((0.0, 0.0), 1.0) | Box((0.0, 0.0), (2.0, 1.0)),
    "notched": Box.unit(2) - Ball((0.0, 0.0), 0.5),
    "half disk": Ball((0.0, 0.0), 1.0) & HalfSpace((0.0, 0.2), (0.0, 1.0)),
    "cut polygon": square_with_hole() - Box((0.5, 0.5), (3.0, 3.0)),
    "spherical cap": Ball((0.0, 0.0, 0.0), 1.0) & HalfSpace((0.0, 0.0, 0.3), (0.0, 0.0, -1.0)),
}
BOUNDED = {**EXACT, **COMBINED, "level set": LEVEL_SET, "shrunk": Box.unit(2).offset(-0.2)}


def around(domain, count, seed=0, margin=0.3):
    """Points in the bounds and round them."""
    lower, upper = torch.tensor(domain.bounds, dtype=torch.float64).T
    u = torch.rand(count, domain.dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return lower - margin * (upper - lower) + (1 + 2 * margin) * (upper - lower) * u


def gradient(function, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(function(x).sum(), x)[0]
