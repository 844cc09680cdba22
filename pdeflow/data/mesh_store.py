"""One shard of samples on meshes: ragged arrays of points, cells and fields in one HDF5 file.

Format "pdeflow-mesh/1": sample i owns the rows offsets[i] .. offsets[i + 1]; a mesh that all samples share is written once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from pdeflow.data.hdf5 import create, nonfinite, write_aside, write_columns
from pdeflow.data.record import Record, header, read_header
from pdeflow.errors import DataError
from pdeflow.geometry import Mesh

LAYOUT = "mesh"


@dataclass(frozen=True)
class MeshShard(Record):
    """Samples of one file; values at the points of their meshes.

    Attributes:
        meshes: One mesh per sample, or one that all share.
        inputs: Input fields by name, one array (points,) per sample.
        outputs: Solution fields by name, one array (points,) per sample.
    """

    meshes: Sequence[Mesh]
    inputs: Mapping[str, Sequence[np.ndarray]]
    outputs: Mapping[str, Sequence[np.ndarray]]

    @property
    def fields(self) -> dict[str, np.ndarray]:
        """Inputs, then solutions, the samples behind each other, shape (all points,)."""
        return {name: np.concatenate(list(parts)) for name, parts in {**self.inputs, **self.outputs}.items()}

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(next(iter(self.outputs.values())))

    def mesh(self, sample: int) -> Mesh:
        """Return the mesh of a sample."""
        return self.meshes[sample if len(self.meshes) > 1 else 0]


def write_mesh_shard(path: Path, shard: MeshShard) -> str:
    """Write a shard aside, then rename.

    Args:
        path: File to write; its folder is made.
        shard: The samples.

    Returns:
        The file's sha256.

    Raises:
        DataError: If a value is not finite or a shape is wrong.
    """
    for name, parts in {**shard.inputs, **shard.outputs}.items():
        for i, values in enumerate(parts):
            if values.shape != (len(shard.mesh(i).points),):
                raise DataError(
                    f"{path.name}: field {name!r} of sample {i} has shape {values.shape}, its mesh {len(shard.mesh(i).points)} points"
                )
            if nonfinite(values[None]).size:
                raise DataError(
                    f"{path.name}: field {name!r} of sample {i} is not finite; nothing was written"
                )

    def write(file: h5py.File) -> None:
        """Fill the open file."""
        first = shard.meshes[0]
        file.attrs.update(
            **header(shard, list(shard.inputs), list(shard.outputs), shard.count), layout=LAYOUT, mesh_format="pdeflow-mesh/1",
            n_spatial_dims=first.dim, cell_type=first.cell_type, shared_mesh=len(shard.meshes) == 1,
        )  # fmt: skip
        _write_meshes(file, shard.meshes)
        for name, values in shard.fields.items():
            role = "input" if name in shard.inputs else "solution"
            attributes = {
                "units": shard.units.get(name, "1"),
                "long_name": f"{role} {name}",
                "location": "point",
            }
            create(file, f"fields/{name}", values, ragged=True, **attributes)
        write_columns(file, shard.scalars, shard.samples)

    return write_aside(path, write)


def _write_meshes(file: h5py.File, meshes: Sequence[Mesh]) -> None:
    """Points, cells and tagged facets (as vertex numbers of their sample), each with the offsets of the samples."""
    tags = sorted({tag for mesh in meshes for tag in mesh.facet_tags})
    parts = {"points": [mesh.points for mesh in meshes], "cells": [mesh.cells for mesh in meshes]}
    for tag in tags:
        parts[f"facet_tags/{tag}"] = [_facets(mesh, tag) for mesh in meshes]
    for name, arrays in parts.items():
        attributes = {"units": "1", "long_name": "coordinates"} if name == "points" else {}
        create(file, f"mesh/{name}", torch.cat(arrays).numpy(), ragged=True, **attributes)
        file[f"mesh_offsets/{name}"] = np.cumsum([0, *(len(array) for array in arrays)])


def _facets(mesh: Mesh, tag: str) -> torch.Tensor:
    ids = mesh.facet_tags.get(tag)
    return mesh.facets[ids] if ids is not None else mesh.facets[:0]


def read_mesh_shard(file: h5py.File, path: Path) -> MeshShard:
    """Read an open shard; errors of the format are the caller's to name.

    Args:
        file: The open file.
        path: Its name, for messages.

    Returns:
        Its samples.

    Raises:
        DataError: If a value is not finite, or no floating-point number.
        KeyError: If a part is missing.
    """
    meshes = [_mesh(file, i) for i in range(len(file["mesh_offsets/points"]) - 1)]
    count = int(file.attrs["n_trajectories"])
    sizes = [len(meshes[i if len(meshes) > 1 else 0].points) for i in range(count)]
    cuts = np.cumsum([0, *sizes])

    def split(name: str) -> list[np.ndarray]:
        values = file[f"fields/{name}"][()]
        if values.dtype.kind != "f":
            raise DataError(f"{path}: field {name!r} has dtype {values.dtype}, expected float32 or float64")
        parts = [values[start:end] for start, end in pairwise(cuts)]
        bad = [i for i, part in enumerate(parts) if nonfinite(part[None]).size]
        if bad:
            raise DataError(
                f"{path}: field {name!r} is not finite in {len(bad)} of {count} samples, first in sample {bad[0]}"
            )
        return parts

    names = {role: [str(name) for name in file.attrs[f"{role}_fields"]] for role in ("input", "output")}
    return MeshShard(
        meshes=meshes, inputs={name: split(name) for name in names["input"]},
        outputs={name: split(name) for name in names["output"]}, **read_header(file, "fields"),
    )  # fmt: skip


def _mesh(file: h5py.File, sample: int) -> Mesh:
    def rows(name: str) -> torch.Tensor:
        start, end = file[f"mesh_offsets/{name}"][sample : sample + 2]
        return torch.from_numpy(file[f"mesh/{name}"][start:end])

    kind: Any = str(file.attrs["cell_type"])  # Mesh refuses an unknown one
    mesh = Mesh(rows("points"), rows("cells"), kind)
    number = {tuple(facet): i for i, facet in enumerate(mesh.facets.tolist())}
    tags = {
        tag: torch.tensor(
            sorted(number[tuple(f)] for f in rows(f"facet_tags/{tag}").tolist()), dtype=torch.int64
        )
        for tag in file.get("mesh/facet_tags", {})
    }
    return Mesh(mesh.points, mesh.cells, mesh.cell_type, facet_tags=tags)
