"""A smooth solution of -∇·(a∇u) + β·∇u + c u = f with its boundary data, on boxes of one to three axes."""

import math

import numpy as np
import torch

from pdeflow.discretization.boundary import Dirichlet, Neumann, Periodic, Robin
from pdeflow.discretization.compatibility import balanced
from pdeflow.geometry import Grid
from pdeflow.linalg import solve

BOUNDS = ((0.0, 1.0), (-0.5, 1.0), (0.25, 1.0))
KINDS = ("dirichlet", "neumann", "robin", "periodic", "mixed")
PHYSICS = ("diffusion", "convection", "reaction")
SIZES = {1: (32, 64, 128), 2: (16, 32, 64), 3: (8, 12, 16)}


class Manufactured:
    """Exact solution, coefficients and boundary conditions for one dimension, boundary kind and physics."""

    def __init__(self, dim, kind, physics):
        self.dim, self.kind, self.physics = dim, kind, physics
        self.periodic = tuple(kind == "periodic" or (kind == "mixed" and k == 1) for k in range(dim))

    def _wave(self, x, k, shift):
        low, high = BOUNDS[k]
        rate = 2 * math.pi / (high - low) if self.periodic[k] else 1.3 + 0.2 * k
        return torch.sin(rate * (x[:, k] - low) + shift)

    def u(self, x):
        waves = [self._wave(x, k, 0.4 + k) for k in range(self.dim)]
        return sum(waves) + math.prod(waves)

    def a(self, x):
        return 1.5 + 0.3 * sum(self._wave(x, k, 1.0 - k) for k in range(self.dim))

    def velocity(self, x):
        return torch.stack([1.0 + self._wave(x, k, 2.0) / (k + 1) for k in range(self.dim)], dim=-1)

    def c(self, x):
        return 1.2 + 0.5 * self._wave(x, 0, 0.2)

    @property
    def reacting(self):
        singular = self.kind in ("neumann", "periodic")
        return self.physics == "reaction" or (self.physics == "convection" and singular)

    def flux(self, x):
        x = x.detach().requires_grad_()
        return self.a(x).unsqueeze(-1) * torch.autograd.grad(self.u(x).sum(), x, create_graph=True)[0], x

    def f(self, x):
        flux, x = self.flux(x)
        parts = [
            torch.autograd.grad(flux[:, k].sum(), x, retain_graph=True)[0][:, k] for k in range(self.dim)
        ]
        f = -sum(parts)
        if self.physics == "convection":
            f = f + (self.velocity(x) * flux).sum(-1) / self.a(x)
        if self.reacting:
            f = f + self.c(x) * self.u(x)
        return f.detach()

    def condition(self, k, upper):
        def outward(x):
            return (1 if upper else -1) * self.flux(x)[0][:, k].detach()

        def transfer(x):
            return 1.5 + 0.5 * torch.cos(x[:, -1])

        kinds = {"mixed": ("dirichlet", "robin") if k == 0 else ("neumann", "dirichlet")}
        kind = kinds.get(self.kind, (self.kind, self.kind))[int(upper)]
        if kind == "dirichlet":
            return Dirichlet(self.u)
        if kind == "neumann":
            return Neumann(outward)
        return Robin(transfer, lambda x: outward(x) + transfer(x) * self.u(x))

    def boundary(self):
        return {
            f"x{k}{sign}": Periodic() if self.periodic[k] else self.condition(k, sign == "+")
            for k in range(self.dim)
            for sign in "-+"
        }

    def grid(self, n, location):
        shape = [n * (4 + k) // 4 for k in range(self.dim)]
        if location == "node":
            shape = [m + (not p) for m, p in zip(shape, self.periodic, strict=True)]
        return Grid(tuple(shape), BOUNDS[: self.dim], self.periodic, location)

    def system(self, n, location, assemble, **options):
        grid = self.grid(n, location)
        x = grid.coordinates().reshape(-1, self.dim)
        if self.physics == "convection":
            options["velocity"] = self.velocity
        if self.reacting:
            options["reaction"] = self.c(x).reshape(grid.shape)
        a, f = self.a(x).reshape(grid.shape), self.f(x).reshape(grid.shape)
        return assemble(grid, a, f, self.boundary(), **options)

    def error(self, n, location, assemble, **options):
        """Root mean square of the error over the box; up to a constant where the system is singular."""
        system = self.system(n, location, assemble, **options)
        solution = solve(balanced(system) if system.symmetric else system, rtol=1e-10)
        assert solution.converged
        x = self.grid(n, location).coordinates().reshape(-1, self.dim)
        difference = solution.x - self.u(x).numpy()
        if system.nullspace is not None:
            difference -= np.average(difference, weights=self.volumes(n, location))
        volume = self.volumes(n, location)
        return float(np.sqrt((volume * difference**2).sum() / volume.sum()))

    def volumes(self, n, location):
        """Share of the box that belongs to each value: half at an end node of an open axis, a quarter at a corner."""
        shares = []
        for k, m in enumerate(self.grid(n, location).shape):
            share = torch.ones(m, dtype=torch.float64)
            if location == "node" and not self.periodic[k]:
                share[[0, -1]] = 0.5
            shares.append(share)
        return math.prod(torch.meshgrid(*shares, indexing="ij")).reshape(-1).numpy()

    def rates(self, location, assemble, sizes=None, **options):
        sizes = sizes or SIZES[self.dim]
        errors = [self.error(n, location, assemble, **options) for n in sizes]
        widths = [math.prod(self.grid(n, location).spacing()) ** (1 / self.dim) for n in sizes]
        return [
            math.log(errors[i] / errors[i + 1]) / math.log(widths[i] / widths[i + 1])
            for i in range(len(sizes) - 1)
        ]
