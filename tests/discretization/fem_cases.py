"""Meshes, manufactured solutions and boundary types shared by the finite element tests."""

import math
from dataclasses import replace

import numpy as np
import scipy.sparse.linalg as sla
import torch

from pdeflow.discretization.boundary import Dirichlet, Neumann, Robin
from pdeflow.geometry.mesh import Mesh


def bent(mesh):
    """Map the unit square or cube smoothly, so that quadrilaterals are no parallelograms; tags stay."""
    x = mesh.points.clone()
    bump = 0.05 * torch.sin(2 * math.pi * mesh.points).roll(1, dims=1)
    return replace(mesh, points=x + bump + 0.1 * x.prod(dim=1, keepdim=True))


def square(n, element, curved=True):
    mesh = Mesh.rectangle((n, n), cell_type="tri" if element.startswith("P") else "quad")
    return bent(mesh) if curved else mesh


def solve(system):
    return sla.spsolve(system.A.tocsc(), system.b)


def rate(errors):
    """Observed order between the last two of a sequence of halved mesh sizes."""
    return math.log2(errors[-2] / errors[-1])


def u(x):
    return torch.sin(2 * x[:, 0] + 1) * torch.exp(x[:, 1]) + x[:, 0] * x[:, 1]


def grad_u(x):
    e = torch.exp(x[:, 1])
    return torch.stack(
        [2 * torch.cos(2 * x[:, 0] + 1) * e + x[:, 1], torch.sin(2 * x[:, 0] + 1) * e + x[:, 0]], dim=1
    )


def a(x):
    return 1 + 0.5 * x[:, 0] * x[:, 1]


def alpha(x):
    return 2 + x[:, 0]


def source(x):
    """f = -∇·(a∇u) = -a Δu - ∇a·∇u."""
    laplace = -3 * torch.sin(2 * x[:, 0] + 1) * torch.exp(x[:, 1])
    return -a(x) * laplace - 0.5 * (x[:, 1] * grad_u(x)[:, 0] + x[:, 0] * grad_u(x)[:, 1])


def conditions(kind, mesh):
    """Conditions with which u solves the problem on the curved square, whose sides have varying normals."""
    tags = ("x0-", "x0+", "x1-", "x1+")
    flux = {tag: on_facets(mesh, tag, lambda x, n: a(x) * (grad_u(x) * n).sum(-1)) for tag in tags}
    robin = {
        tag: on_facets(mesh, tag, lambda x, n: a(x) * (grad_u(x) * n).sum(-1) + alpha(x) * u(x))
        for tag in tags
    }
    if kind == "Dirichlet":
        return {"*": Dirichlet(u)}
    if kind == "Neumann":
        return {"x0-": Dirichlet(u), **{tag: Neumann(flux[tag]) for tag in tags[1:]}}
    if kind == "Robin":
        return {tag: Robin(alpha, robin[tag]) for tag in tags}
    return {
        "x1+": Dirichlet(u),
        "x0+": Neumann(flux["x0+"]),
        "x0-": Robin(alpha, robin["x0-"]),
        "*": Dirichlet(u),
    }


def on_facets(mesh, tag, data):
    """Turn data of points and normals into data of points: each point takes the normal of its nearest facet."""
    ids, normals = mesh.facets_named(tag), mesh.normals(tag)

    def value(x):
        ends = mesh.points[mesh.facets[ids]]
        along = ends[:, 1] - ends[:, 0]
        offset = x[:, None] - ends[None, :, 0]
        t = ((offset * along).sum(-1) / (along**2).sum(-1)).clamp(0, 1)
        nearest = (offset - t[..., None] * along).norm(dim=-1).argmin(dim=1)
        return data(x, normals[nearest])

    return value


def perturbed(mesh, seed, size):
    """Move the interior vertices at random."""
    generator = np.random.default_rng(seed)
    shift = torch.from_numpy(generator.uniform(-size, size, mesh.points.shape))
    shift[mesh.boundary_nodes()] = 0.0
    return replace(mesh, points=mesh.points + shift)
