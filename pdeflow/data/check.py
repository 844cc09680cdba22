"""`pdeflow data check`: every rule of the format that a dataset violates, one line each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pdeflow.data.dataset import read_listed_shard
from pdeflow.data.manifest import read_manifest
from pdeflow.data.mesh_store import MeshShard
from pdeflow.data.store import Shard
from pdeflow.errors import DataError


def check(root: str | Path) -> list[str]:
    """Read every shard and compare it with the manifest.

    Args:
        root: Folder of the dataset.

    Returns:
        One line for each violated rule: file, what was expected, what was found. Empty for a good dataset.

    Raises:
        UsageError: If there is no dataset at all.
    """
    root = Path(root)
    try:
        manifest = read_manifest(root)
    except DataError as error:
        return [str(error)]
    entries = [entry for split in manifest["splits"].values() for entry in split["shards"]]
    found = [line for entry in entries for line in _check_shard(root, entry, manifest)]
    listed = {root / entry["file"] for entry in entries}
    for path in sorted((root / "data").glob("*/*.hdf5")):
        if path not in listed:
            found.append(f"{path}: not in the manifest; it belongs to another generation, remove it")
    return found + _check_statistics(root / "stats.yaml", manifest)


def _check_shard(root: Path, entry: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    try:
        shard = read_listed_shard(root, entry)
    except DataError as error:
        return [str(error)]
    path, lines = root / entry["file"], []
    if isinstance(shard, MeshShard):
        lines += _check_meshes(path, shard)
    elif (
        list(shard.grid.shape) != manifest["grid"]["shape"]
        or shard.grid.location != manifest["grid"]["location"]
    ):
        lines.append(
            f"{path}: grid {shard.grid.shape} at {shard.grid.location}s, expected {manifest['grid']}"
        )
    flags = getattr(shard, "augmented", ""), manifest.get("augmented", "")
    if flags[0] != flags[1]:
        lines.append(f"{path}: augmented is {flags[0]!r}, the manifest says {flags[1]!r}; never mix the two")
    if shard.problem != manifest["problem"]:
        lines.append(f"{path}: problem {shard.problem}, expected {manifest['problem']}")
    return lines + _check_verdicts(path, shard, manifest.get("rtol"))


def _check_meshes(path: Path, shard: MeshShard) -> list[str]:
    """Validate every mesh of a shard."""
    lines = []
    for sample, mesh in enumerate(shard.meshes):
        try:
            mesh.validate()
        except DataError as error:
            lines.append(f"{path}: mesh of sample {sample}: {error}")
    return lines


def _check_verdicts(path: Path, shard: Shard | MeshShard, rtol: float | None) -> list[str]:
    """Compare the stored residuals with the tolerance."""
    residual = shard.samples.get("residual_rel")
    if rtol is None:
        return []
    if residual is None:
        return [f"{path}: samples/residual_rel is missing, expected {shard.count} residuals"]
    bad = [i for i, value in enumerate(residual) if not value <= rtol]
    if bad:
        return [
            f"{path}: samples/residual_rel is {residual[bad[0]]:.1e} in sample {bad[0]}, expected at most {rtol:.0e}"
        ]
    return []


def _check_statistics(path: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Compare stats.yaml with the manifest, which has the same means and deviations."""
    try:
        stats = yaml.safe_load(path.read_text(encoding="utf-8"))
        pairs = [
            (kind, name, float(stats[kind][name]), float(field[kind]))
            for name, field in manifest["fields"].items()
            for kind in ("mean", "std")
        ]
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        return [
            f"{path}: missing or damaged ({' '.join(str(error).split())}), expected mean and std of every field"
        ]
    return [
        f"{path}: {kind} of {name!r} is {found:.6g}, expected {expected:.6g}"
        for kind, name, found, expected in pairs
        if not math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-300)
    ]
