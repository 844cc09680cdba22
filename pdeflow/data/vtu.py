"""Datasets for ParaView: one unstructured VTU file per sample, and per frame of a trajectory, which ParaView plays as a series.

VTK file formats, "Unstructured Grid" (.vtu), written by meshio.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from pdeflow.data.dataset import read_split
from pdeflow.data.manifest import read_manifest
from pdeflow.data.mesh_store import MeshShard
from pdeflow.data.store import Shard
from pdeflow.errors import UsageError
from pdeflow.geometry import MappedGrid, Mesh

Frame = tuple[str, Mesh, dict[str, np.ndarray], bool]
"""File stem, mesh, values by name, and whether they live in cells."""


def export_vtu(
    root: str | Path, out: str | Path, split: str | None = None, count: int | None = None
) -> list[Path]:
    """Write samples of a dataset as VTU files with all their fields; scalars are constant fields of their name.

    Args:
        root: Folder of the dataset.
        out: Folder for the files NAME_SPLIT_00000.vtu, or NAME_SPLIT_00000_0000.vtu with the number of the frame.
        split: "train", "valid" or "test"; the only one there is, else "test", if None.
        count: Number of samples; by default all.

    Returns:
        The files.

    Raises:
        UsageError: If there is no such dataset or split, a file exists, or values lie on a line or on periodic nodes.
        DataError: If the dataset is damaged.
    """
    split = split or default_split(root)
    _, shards = read_split(Path(root), split)
    out, done = Path(out), 0
    files: list[Path] = []
    for shard in shards:
        for sample in range(shard.count):
            if count is not None and done >= count:
                return files
            for stem, mesh, values, in_cells in _frames(shard, sample):
                path = out / f"{shard.name}_{split}_{done:05d}{stem}.vtu"
                if path.exists():
                    raise UsageError(f"{path} exists; choose another --out")
                path.parent.mkdir(parents=True, exist_ok=True)
                count_of = mesh.n_cells if in_cells else mesh.n_points
                constant = {name: np.full(count_of, column[sample]) for name, column in shard.scalars.items()}
                mesh.save(path, **{"cell_data" if in_cells else "point_data": {**constant, **values}})
                files.append(path)
            done += 1
    return files


def default_split(root: str | Path) -> str:
    """Return the only split of a dataset, or "test" where there are several.

    Args:
        root: Folder of the dataset.

    Raises:
        UsageError: If there is no dataset.
    """
    splits = list(read_manifest(Path(root))["splits"])
    return splits[0] if len(splits) == 1 else "test"


def _frames(shard: Shard | MeshShard, sample: int) -> Iterator[Frame]:
    """Give every frame of a sample: a steady one has one, without a number."""
    if isinstance(shard, MeshShard):
        fields = {**shard.inputs, **shard.outputs}
        yield "", shard.mesh(sample), {name: parts[sample] for name, parts in fields.items()}, False
        return
    mesh, order, in_cells = _mesh(shard, sample)
    if len(shard.times) == 1:
        yield "", mesh, _values(shard.fields, sample, order), in_cells
        return
    for k in range(len(shard.times)):
        frame = {name: values[:, k] for name, values in shard.outputs.items()}
        yield f"_{k:04d}", mesh, _values({**shard.inputs, **frame}, sample, order), in_cells


def _values(fields: Mapping[str, np.ndarray], sample: int, order: np.ndarray | None) -> dict[str, np.ndarray]:
    """Flatten the fields of a sample in the order of the mesh's points or cells."""
    flat = {name: values[sample].reshape(-1) for name, values in fields.items()}
    return flat if order is None else {name: values[order] for name, values in flat.items()}


def _mesh(shard: Shard, sample: int) -> tuple[Mesh, np.ndarray | None, bool]:
    """Return the mesh of a grid, which grid value each point has (None: in order), and whether values live in cells."""
    grid = shard.grid
    if shard.mapped:
        from pdeflow.geometry.structured_mesh import structured_mesh

        x = np.stack([shard.inputs[name][sample] for name in "xyz"[: grid.ndim]], axis=-1)
        mesh, ids = structured_mesh(
            MappedGrid(torch.from_numpy(x), grid.periodic), "quad" if grid.ndim == 2 else "hex"
        )
        order = np.empty(mesh.n_points, dtype=np.int64)
        order[ids.reshape(-1).numpy()] = np.arange(grid.size)
        return mesh, order, False
    if grid.ndim == 1:
        raise UsageError(
            "a grid of one axis has no surface to show in ParaView; use the arrays of PDEDataset"
        )
    if grid.location == "cell":
        return Mesh.from_grid(grid, "quad" if grid.ndim == 2 else "hex"), None, True
    lengths = [low + h * n for (low, _), h, n in zip(grid.bounds, grid.spacing(), grid.shape, strict=True)]
    shape = [n if p else n - 1 for n, p in zip(grid.shape, grid.periodic, strict=True)]
    upper = [
        end if p else high for end, (_, high), p in zip(lengths, grid.bounds, grid.periodic, strict=True)
    ]
    mesh = Mesh.box(shape, [low for low, _ in grid.bounds], upper, "quad" if grid.ndim == 2 else "hex")
    nodes = np.arange(grid.size).reshape(grid.shape)  # a periodic axis shows its first node again at its end
    for k, periodic in enumerate(grid.periodic):
        if periodic:
            nodes = np.concatenate([nodes, nodes.take([0], axis=k)], axis=k)
    return mesh, nodes.reshape(-1), False
