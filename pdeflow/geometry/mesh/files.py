"""Meshes in files: .npz and .h5 keep everything, other formats go through meshio; writing is all or nothing."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry.mesh import io_hdf5, io_meshio
from pdeflow.geometry.mesh.meshio_names import names_style
from pdeflow.geometry.mesh.protocol import AnyMesh, MeshLike
from pdeflow.geometry.mesh.repair import oriented, without_unused_points
from pdeflow.geometry.mesh.validation import validate

HDF5 = (".h5", ".hdf5")


def save(
    mesh: MeshLike,
    path: str | os.PathLike[str],
    point_data: Mapping[str, Any] | None = None,
    cell_data: Mapping[str, Any] | None = None,
) -> Path:
    """Write a mesh, and fields on it, to a file; the file appears only when it is complete.

    Args:
        mesh: The mesh.
        path: The suffix chooses the format: .npz and .h5 (everything, no fields), .msh (Gmsh 2.2 text, names as
            physical groups), .vtu for ParaView (named facets as cells, names as 0/1 cell data), or another format of
            meshio.
        point_data: Named values at the points, shape (n,) or (n, c).
        cell_data: Named values in the cells, shape (m,) or (m, c).

    Returns:
        The path.

    Raises:
        UsageError: If the folder or the format is unknown, fields do not fit, or the format cannot hold them.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise UsageError(f"the folder {target.parent} does not exist; make it first")
    suffix = target.suffix.lower()
    if suffix == ".npz" or suffix in HDF5:
        if point_data or cell_data:
            raise UsageError(f"{suffix} files keep the mesh only; write fields to .vtu")
        _write_aside(
            target, lambda aside: _save_npz(mesh, aside) if suffix == ".npz" else _save_h5(mesh, aside)
        )
    else:
        io_meshio.check_writable(target)
        other = io_meshio.to_meshio(mesh, point_data, cell_data, names_style(suffix))
        _write_aside(target, lambda aside: io_meshio.write(other, aside, target))
    return target


def load(kind: type[AnyMesh], path: str | os.PathLike[str]) -> AnyMesh:
    """Read and check a mesh.

    Args:
        kind: Class of the mesh.
        path: A .npz or .h5 file written by `save`, or a file that meshio reads (.msh, .vtu, .inp, …).

    Returns:
        The mesh. Foreign files: points no cell uses are dropped, a third coordinate that is zero everywhere too,
        and inverted cells are reordered (many programs do not care).

    Raises:
        UsageError: If there is no such file, or its format is unknown.
        DataError: If the file is damaged, mixes cell types, or holds an invalid mesh.
    """
    source = Path(path)
    if not source.is_file():
        raise UsageError(f"there is no mesh file {source}")
    suffix = source.suffix.lower()
    try:
        if suffix == ".npz":
            mesh = _load_npz(kind, source)
        elif suffix in HDF5:
            mesh = _load_h5(kind, source)
        else:
            mesh = oriented(without_unused_points(io_meshio.from_meshio(kind, io_meshio.read(source))))
        validate(mesh)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    return mesh


def _write_aside(target: Path, write: Callable[[Path], None]) -> None:
    """Write into a folder beside the target, then move what was written (some formats have two files) into place."""
    with TemporaryDirectory(prefix=f".{target.stem}.", suffix=".partial", dir=target.parent) as folder:
        write(Path(folder) / target.name)
        for part in sorted(Path(folder).iterdir(), key=lambda part: part.name == target.name):
            os.replace(part, target.with_name(part.name))


def _save_npz(mesh: MeshLike, path: Path) -> None:
    arrays: dict[str, Any] = {name: array for name, array in io_hdf5.arrays(mesh).items()}
    np.savez(path, cell_type=np.array(mesh.cell_type), **arrays)


def _load_npz(kind: type[AnyMesh], path: Path) -> AnyMesh:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"not a readable .npz file ({error}); write it again") from error
    cell_type = arrays.pop("cell_type", None)
    return io_hdf5.from_arrays(kind, None if cell_type is None else str(cell_type), arrays)


def _save_h5(mesh: MeshLike, path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        io_hdf5.write_group(mesh, file.create_group("mesh"))


def _load_h5(kind: type[AnyMesh], path: Path) -> AnyMesh:
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"not a readable HDF5 file ({error}); write it again") from error
    with file:
        if "mesh" not in file:
            raise DataError(f"no group 'mesh' in it, only {', '.join(file) or 'nothing'}")
        return io_hdf5.read_group(kind, file["mesh"])
