"""Meshes of every type, straight and warped, with named facets and cells, shared by the mesh tests."""

from dataclasses import replace

import torch

from pdeflow.geometry.mesh import Mesh

SHAPES = {"line": (7,), "tri": (5, 4), "quad": (5, 4), "tet": (3, 2, 3), "hex": (3, 2, 3)}
TYPES = tuple(SHAPES)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def named_box(cell_type, warp=0.0, seed=0):
    """A box [0, 1] x [-1, 1] x … whose points are moved by up to warp cells; the cells left of 1/2 are "left"."""
    shape = SHAPES[cell_type]
    mesh = Mesh.box(shape, [0.0, -1.0, -1.0][: len(shape)], [1.0] * len(shape), cell_type)
    shift = warp / max(shape) * (torch.rand(mesh.points.shape, generator=seeded(seed)).double() - 0.5)
    left = torch.nonzero(mesh.centroids()[:, 0] < 0.5).flatten()
    return replace(mesh, points=mesh.points + shift, cell_tags={"left": left})


def assert_same(one, other):
    """Type, points, cells and names agree bit by bit."""
    assert one.cell_type == other.cell_type
    assert torch.equal(one.points, other.points)
    assert torch.equal(one.cells, other.cells)
    for tags, others in ((one.facet_tags, other.facet_tags), (one.cell_tags, other.cell_tags)):
        assert tags.keys() == others.keys()
        assert all(torch.equal(ids, others[name]) for name, ids in tags.items())
    assert one.fingerprint == other.fingerprint
