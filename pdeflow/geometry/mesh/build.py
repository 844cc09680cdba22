"""Meshes of boxes, mapped grids and disks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.layouts import GridLayout
from pdeflow.geometry.mesh.facets import tag_facets
from pdeflow.geometry.mesh.measures import signed_measure
from pdeflow.geometry.mesh.protocol import AnyMesh, MeshLike
from pdeflow.geometry.mesh.repair import oriented
from pdeflow.geometry.reference_cells import REFERENCE_CELLS, CellType

# Freudenthal-Kuhn: every simplex runs from corner 0 to the opposite one, one axis at a time
_TENSOR_TYPE: dict[int, CellType] = {1: "line", 2: "quad", 3: "hex"}


def default_cell_type(dim: int) -> CellType:
    """Return the tensor-product cell of a dimension from 1 to 3."""
    if dim not in _TENSOR_TYPE:
        raise UsageError(f"a structured mesh has 1, 2 or 3 axes, got {dim}")
    return _TENSOR_TYPE[dim]


def structured_cells(shape: Sequence[int], cell_type: CellType, periodic: Sequence[bool]) -> Tensor:
    """Number the cells of a grid of nodes.

    Args:
        shape: Nodes per axis; node (i, j, …) has the id i · shape[1] + j ….
        cell_type: A type of that dimension; squares are cut along one diagonal, cubes in six (Freudenthal-Kuhn).
        periodic: Whether the last node of an axis is joined to the first.

    Returns:
        Vertex ids, shape (m, k).
    """
    dim = len(shape)
    ranges = [torch.arange(n if p else n - 1) for n, p in zip(shape, periodic, strict=True)]
    low = torch.stack(torch.meshgrid(*ranges, indexing="ij"), dim=-1).reshape(-1, dim)  # (boxes, d)
    sizes = torch.tensor(shape)

    def node(offset: Sequence[int]) -> Tensor:
        index = (low + torch.tensor(offset)) % sizes
        number = index[:, 0]
        for axis in range(1, dim):
            number = number * shape[axis] + index[:, axis]
        return number

    if not REFERENCE_CELLS[cell_type].simplex or dim == 1:
        return torch.stack([node(c) for c in REFERENCE_CELLS[default_cell_type(dim)].corners], dim=1)
    simplices = []
    for order in permutations(range(dim)):
        path = [[0] * dim]
        for axis in order:
            path.append([*path[-1][:axis], 1, *path[-1][axis + 1 :]])
        if _odd(order):
            path[-2], path[-1] = path[-1], path[-2]
        simplices.append(torch.stack([node(c) for c in path], dim=1))
    return torch.stack(simplices, dim=1).reshape(-1, dim + 1)


def _odd(order: Sequence[int]) -> bool:
    return sum(a > b for i, a in enumerate(order) for b in order[i + 1 :]) % 2 == 1


def structured(
    kind: type[AnyMesh],
    coordinates: Tensor,
    cell_type: CellType | None = None,
    periodic: Sequence[bool] | None = None,
) -> AnyMesh:
    """Mesh a grid of nodes, straight or curved, with the facets "x0-", "x0+", … of its logical axes.

    Args:
        kind: Class of the mesh.
        coordinates: Node positions, shape (*shape, d), indexing "ij".
        cell_type: "line", "tri", "quad", "tet" or "hex"; the tensor-product cell when left out.
        periodic: Whether the last node of each axis is joined to the first, as on a ring.

    Returns:
        The mesh, oriented; node (i, j) has the id i · shape[1] + j.

    Raises:
        UsageError: If the cell type has another dimension, or an axis has too few nodes.
    """
    shape = tuple(coordinates.shape[:-1])
    wraps = tuple(periodic) if periodic is not None else (False,) * len(shape)
    cell = cell_type or default_cell_type(len(shape))
    if REFERENCE_CELLS.get(cell) is None or REFERENCE_CELLS[cell].dim != len(shape):
        raise UsageError(f"cell_type {cell!r} does not fit a grid of {len(shape)} axes")
    if len(wraps) != len(shape) or any(n < (3 if p else 2) for n, p in zip(shape, wraps, strict=True)):
        raise UsageError(f"a structured mesh needs 2 nodes per axis, 3 if periodic; got {shape} with {wraps}")
    mesh = kind(coordinates.reshape(-1, coordinates.shape[-1]), structured_cells(shape, cell, wraps), cell)
    if mesh.cell_dim == mesh.dim and float(signed_measure(mesh).sum()) < 0:
        mesh = oriented(mesh)  # the map turns the axes around
    return tag_facets(mesh, _side_tags(mesh, shape, wraps))


def _side_tags(mesh: MeshLike, shape: Sequence[int], periodic: Sequence[bool]) -> dict[str, Tensor]:
    """Find the boundary facets whose vertices all lie on one logical side."""
    vertices = mesh.facets[mesh.boundary_facets]
    tags, stride = {}, mesh.n_points
    for axis, (n, wraps) in enumerate(zip(shape, periodic, strict=True)):
        stride //= n
        index = vertices // stride % n
        if not wraps:
            for side, end in (("-", 0), ("+", n - 1)):
                tags[f"x{axis}{side}"] = mesh.boundary_facets[(index == end).all(dim=1)]
    return tags


def box(
    kind: type[AnyMesh],
    shape: Sequence[int],
    lower: Sequence[float] | None = None,
    upper: Sequence[float] | None = None,
    cell_type: CellType | None = None,
) -> AnyMesh:
    """Mesh an axis-parallel box; facets are named "x0-", "x0+", "x1-", …

    Args:
        kind: Class of the mesh.
        shape: Cells per axis, 1 to 3 entries (a square makes 2 triangles, a cube 6 tetrahedra).
        lower: Lower corner; zeros when left out.
        upper: Upper corner; ones when left out.
        cell_type: "line", "tri", "quad", "tet" or "hex"; line, quad or hex when left out.

    Returns:
        The mesh; node (i, j) has the id i · (shape[1] + 1) + j.

    Raises:
        UsageError: If lengths differ, a side is empty, or the type has another dimension.
    """
    lower = (0.0,) * len(tuple(shape)) if lower is None else lower
    upper = (1.0,) * len(tuple(shape)) if upper is None else upper
    counts = [int(n) for n in shape]
    if not len(counts) == len(lower) == len(upper) or any(n < 1 for n in counts):
        raise UsageError(
            f"a box mesh needs a positive number of cells per axis and corners of that dimension, got shape "
            f"{tuple(shape)}, lower {tuple(lower)}, upper {tuple(upper)}"
        )
    if any(not low < high for low, high in zip(lower, upper, strict=True)):
        raise UsageError(f"a box needs lower < upper on every axis, got {tuple(lower)} and {tuple(upper)}")
    axes = [
        torch.linspace(low, high, n + 1, dtype=torch.float64)
        for n, low, high in zip(counts, lower, upper, strict=True)
    ]
    return structured(kind, torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1), cell_type)


def rectangle(
    kind: type[AnyMesh],
    shape: Sequence[int],
    lower: Sequence[float] = (0.0, 0.0),
    upper: Sequence[float] = (1.0, 1.0),
    cell_type: CellType = "tri",
) -> AnyMesh:
    """Mesh a rectangle with triangles or quadrilaterals: `box` with two axes.

    Args:
        kind: Class of the mesh.
        shape: Cells per axis.
        lower: Lower corner.
        upper: Upper corner.
        cell_type: "tri" or "quad".

    Raises:
        UsageError: As `box`.
    """
    return box(kind, shape, lower, upper, cell_type)


def from_grid(kind: type[AnyMesh], grid: GridLayout, cell_type: CellType | None = None) -> AnyMesh:
    """Mesh a uniform grid: values at nodes become points, values at cell centres become cells.

    Args:
        kind: Class of the mesh.
        grid: A grid of 1 to 3 axes.
        cell_type: A type of that dimension; triangles and tetrahedra cut each box of the grid.

    Returns:
        The mesh; with grid location "node" point ids are the flat grid ids, with "cell" (and lines,
        quadrilaterals or hexahedra) cell ids are. Periodic cell grids get distinct points on both sides.

    Raises:
        UsageError: If a node grid is periodic: its last cell has no end points.
    """
    if grid.location == "node" and any(grid.periodic):
        raise UsageError("a mesh of a periodic node grid would have to wrap; use a grid with location='cell'")
    steps = [n - 1 if grid.location == "node" else n for n in grid.shape]
    return box(kind, steps, [low for low, _ in grid.bounds], [high for _, high in grid.bounds], cell_type)


def disk(kind: type[AnyMesh], h: float, radius: float = 1.0, center: Sequence[float] = (0.0, 0.0)) -> AnyMesh:
    """Triangulate a disk by rings, ring k with 6 k points; the rim is named "boundary".

    Args:
        kind: Class of the mesh.
        h: Distance of neighbouring rings at most, in length units; edges are up to 1.45 h, triangles at least 0.85 good.
        radius: Radius, in length units.
        center: Centre.

    Returns:
        The mesh; its rim is the regular polygon inscribed in the circle.

    Raises:
        UsageError: If h or the radius is not positive.
    """
    if not (h > 0 and radius > 0):
        raise UsageError(f"a disk needs a positive mesh size and radius, got h {h} and radius {radius}")
    rings = max(1, math.ceil(radius / h))
    points, cells = [torch.zeros(1, 2, dtype=torch.float64)], []
    for ring in range(1, rings + 1):
        angle = torch.arange(6 * ring, dtype=torch.float64) * (2 * math.pi / (6 * ring))
        points.append(torch.stack([angle.cos(), angle.sin()], dim=1) * (radius * ring / rings))
        cells += _ring_triangles(ring)
    place = torch.cat(points) + torch.tensor([float(c) for c in center], dtype=torch.float64)
    mesh = kind(place, torch.tensor(cells), "tri")
    return tag_facets(mesh, {"boundary": mesh.boundary_facets})


def _ring_triangles(ring: int) -> list[list[int]]:
    """Join ring to ring - 1 in six sectors; ring k starts at point 1 + 3 k (k - 1)."""

    def outer(i: int) -> int:
        return 1 + 3 * ring * (ring - 1) + i % (6 * ring)

    def inner(i: int) -> int:
        return 0 if ring == 1 else 1 + 3 * (ring - 1) * (ring - 2) + i % (6 * (ring - 1))

    triangles = []
    for sector in range(6):
        a, b = sector * ring, sector * (ring - 1)
        triangles += [[inner(b + i), outer(a + i), outer(a + i + 1)] for i in range(ring)]
        triangles += [[inner(b + i), outer(a + i + 1), inner(b + i + 1)] for i in range(ring - 1)]
    return triangles
