"""A mesh of one cell type with named facets and cells: the common language of the discretizations.

scikit-fem (Gustafsson and McBain, J. Open Source Softw. 5 (2020) 2369) numbers facets the same way, so facet
ids can be exchanged with it; points are rows (n, d) here and vertices come in VTK's order. The operations are
plain functions of a mesh, one concept a file, bound to the class at its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.gradient.choose import mesh_gradient
from pdeflow.geometry.mesh import (
    build,
    files,
    io_hdf5,
    io_meshio,
    io_skfem,
    location,
    measures,
    neighbours,
    refinement,
    repair,
    validation,
)
from pdeflow.geometry.mesh import facets as mesh_facets
from pdeflow.geometry.mesh import quality as mesh_quality
from pdeflow.geometry.mesh.constructor import Constructor
from pdeflow.geometry.mesh.topology import Topology, topology
from pdeflow.geometry.reference_cells import REFERENCE_CELLS, CellType, ReferenceCell


@dataclass(frozen=True, eq=False)
class Mesh:
    """Points, cells of one type, and names for some facets and cells; no operation changes a mesh.

    Attributes:
        points: Coordinates, shape (n, d), float64, in length units.
        cells: Vertex ids, shape (m, k), int64, VTK's vertex order, positive orientation.
        cell_type: "line", "tri", "quad", "tet" or "hex"; d may be larger (a surface in space).
        facet_tags: Ids of the facets with a name, ascending; a facet may carry several names.
        cell_tags: Ids of the cells with a name, ascending.
    """

    points: Tensor
    cells: Tensor
    cell_type: CellType
    facet_tags: Mapping[str, Tensor] = field(default_factory=dict)
    cell_tags: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.cell_type not in REFERENCE_CELLS:
            raise UsageError(f"cell_type must be one of {', '.join(REFERENCE_CELLS)}, got {self.cell_type!r}")
        points = torch.as_tensor(self.points, dtype=torch.float64).contiguous()
        cells = torch.as_tensor(self.cells, dtype=torch.int64).contiguous()
        k, dim = len(self.reference.corners), self.reference.dim
        if points.ndim != 2 or not dim <= points.shape[1] <= 3:
            raise UsageError(f"{self.cell_type} points must be (n, {dim}…3), got {tuple(points.shape)}")
        if cells.ndim != 2 or cells.shape[1] != k:
            raise UsageError(f"{self.cell_type} cells must be (m, {k}), got {tuple(cells.shape)}")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "cells", cells)
        for name in ("facet_tags", "cell_tags"):
            tags = {str(key): _ids(value) for key, value in getattr(self, name).items()}
            object.__setattr__(self, name, tags)

    def __repr__(self) -> str:
        names = ", ".join(f"{name} ({len(ids)})" for name, ids in self.facet_tags.items()) or "none"
        return f"Mesh({self.n_cells} {self.cell_type}, {self.n_points} points in {self.dim}-D, facet tags {names})"

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return self.points.shape[1]

    @property
    def reference(self) -> ReferenceCell:
        """The reference cell: corners, local facets, shape functions."""
        return REFERENCE_CELLS[self.cell_type]

    @property
    def cell_dim(self) -> int:
        """Dimension of the cells: below `dim` for curves and surfaces in space."""
        return self.reference.dim

    @property
    def n_points(self) -> int:
        """Number of points n."""
        return self.points.shape[0]

    @property
    def n_cells(self) -> int:
        """Number of cells m."""
        return self.cells.shape[0]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the type, points, cells and tags: equal meshes have equal fingerprints."""
        digest = hashlib.sha256(f"{self.cell_type} {self.dim}".encode())
        arrays = {"points": self.points, "cells": self.cells}
        arrays |= {f"facet {name}": ids for name, ids in sorted(self.facet_tags.items())}
        arrays |= {f"cell {name}": ids for name, ids in sorted(self.cell_tags.items())}
        for name, array in arrays.items():
            digest.update(f"{name} {tuple(array.shape)}".encode())
            digest.update(array.numpy().astype(array.numpy().dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    @cached_property
    def topology(self) -> Topology:
        """Facets, the cells on both sides, and the facets of each cell."""
        return topology(self.cells, self.reference, self.n_points)

    @property
    def facets(self) -> Tensor:
        """Vertex ids of all facets, ascending in each row, shape (F, kf)."""
        return self.topology.facets

    @property
    def facet_cells(self) -> Tensor:
        """Cells on both sides of each facet, the lower id first, -1 on the boundary, shape (F, 2)."""
        return self.topology.facet_cells

    @cached_property
    def boundary_facets(self) -> Tensor:
        """Ids of the facets with one cell, ascending, shape (F_b,)."""
        return torch.nonzero(self.facet_cells[:, 1] < 0).flatten()

    @cached_property
    def centroid_tree(self) -> cKDTree:
        """Search tree over the centroids of the cells.

        Raises:
            DataError: If a point is not finite.
        """
        if not bool(torch.isfinite(self.points).all()):
            raise DataError("the mesh has points that are not finite; mesh.validate() names them")
        return cKDTree(self.centroids().numpy())

    @cached_property
    def bins(self) -> location.Bins:
        """Buckets of a background grid with the cells whose bounding boxes meet them."""
        return location.Bins.of(self)

    # builders
    box = Constructor(build.box)
    rectangle = Constructor(build.rectangle)
    structured = Constructor(build.structured)
    from_grid = Constructor(build.from_grid)
    disk = Constructor(build.disk)
    # facets and neighbours
    facets_named = mesh_facets.facets_named
    cells_named = mesh_facets.cells_named
    boundary_nodes = mesh_facets.boundary_nodes
    tag_facets = mesh_facets.tag_facets
    boundary = mesh_facets.boundary
    edges = neighbours.edges
    adjacency = neighbours.adjacency
    knn = neighbours.knn
    # measures
    signed_measure = measures.signed_measure
    cell_measure = measures.cell_measure
    facet_measure = measures.facet_measure
    node_weights = measures.node_weights
    normals = measures.normals
    centroids = measures.centroids
    quality = mesh_quality.quality
    # refinement, checks, repairs
    refine = refinement.refine
    validate = validation.validate
    oriented = repair.oriented
    cleaned = repair.cleaned
    # point location
    locate = location.locate
    interpolate = location.interpolate
    # derivatives
    gradient = mesh_gradient
    # other libraries and files
    to_skfem = io_skfem.to_skfem
    from_skfem = Constructor(io_skfem.from_skfem)
    to_meshio = io_meshio.to_meshio
    from_meshio = Constructor(io_meshio.from_meshio)
    write_group = io_hdf5.write_group
    read_group = Constructor(io_hdf5.read_group)
    save = files.save
    load = Constructor(files.load)


def _ids(value: Any) -> Tensor:
    return torch.unique(torch.as_tensor(np.asarray(value), dtype=torch.int64).flatten())
