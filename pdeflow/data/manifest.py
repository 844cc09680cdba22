"""What a dataset holds: manifest.json and stats.yaml, merged from the shards in their order.

Statistics are exact merges of counts, means and sums of squares (Chan, Golub and LeVeque, 1979), in float64.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pdeflow.data.hdf5 import sha256
from pdeflow.data.mesh_store import MeshShard
from pdeflow.data.reading import REMEDY, read_shard
from pdeflow.data.record import FORMAT
from pdeflow.data.store import Shard, shards
from pdeflow.errors import DataError, UsageError

SPLITS = ("train", "valid", "test")
REQUIRED = ("name", "problem", "fields", "splits")


def read_manifest(root: str | Path) -> dict[str, Any]:
    """Read the manifest of a dataset.

    Args:
        root: Folder of the dataset.

    Returns:
        Its content.

    Raises:
        UsageError: If there is no dataset.
        DataError: If the manifest is damaged or of a newer format.
    """
    path = Path(root) / "manifest.json"
    if not path.is_file():
        hint = "create it with: pdeflow generate -c SETTINGS, such as configs/generate/darcy.yaml,"
        if (Path(root) / "plan.json").is_file():
            hint = "finish it with: pdeflow generate --resume"
        raise UsageError(f"dataset {root} not found (no manifest.json); {hint} --out {root}")
    try:
        manifest = dict(json.loads(path.read_text(encoding="utf-8")))
        version = int(manifest["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); {REMEDY}") from error
    if version > FORMAT:
        raise DataError(f"{path} has format {version}, this pdeflow reads up to {FORMAT}; upgrade pdeflow")
    missing = [key for key in REQUIRED if key not in manifest]
    if not missing and not {"grid", "mesh"} & set(manifest):
        missing = ["grid"]
    if missing:
        raise DataError(f"{path} lacks the key {missing[0]!r}; {REMEDY}")
    return manifest


def build_manifest(root: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Read every shard, merge its statistics, write manifest.json and stats.yaml.

    Args:
        root: Folder of the dataset.
        facts: What the shards do not know: solver, seconds, rtol, versions.

    Returns:
        The manifest.

    Raises:
        DataError: If a shard is damaged, or shards differ in grid or fields.
    """
    tally, splits = _Tally(), {}
    for split in (name for name in SPLITS if shards(root, name)):
        entries = [tally.add(root, path) for path in shards(root, split)]
        first_id = min(entry.pop("first_id") for entry in entries)
        count = sum(entry["count"] for entry in entries)
        splits[split] = {"count": count, "first_id": first_id, "shards": entries}
    first = tally.first
    if first is None:
        raise DataError(f"{root} holds no shard; run pdeflow generate")
    manifest = {
        "format": FORMAT, "name": first.name, "problem": first.problem, "equation": first.equation,
        **tally.place(), "fields": {name: _field_entry(first, name, m) for name, m in tally.moments.items()},
        "scalars": {name: {key: m[key] for key in ("min", "mean", "max")} for name, m in tally.scalars.items()},
        "splits": splits, "seed": first.seed, **tally.flag(), "residual": _range(tally.residuals), "iterations": _range(tally.iterations),
        "bytes": tally.size, **facts,
    }  # fmt: skip
    _write(root / "stats.yaml", yaml.safe_dump(statistics(tally.moments, tally.changes), sort_keys=False))
    _write(root / "manifest.json", json.dumps(manifest, indent=2) + "\n")
    return manifest


@dataclass
class _Tally:
    """What has been seen of a dataset's shards."""

    first: Shard | MeshShard | None = None
    points: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    moments: dict[str, dict[str, float]] = field(default_factory=dict)
    changes: dict[str, dict[str, float]] = field(default_factory=dict)
    scalars: dict[str, dict[str, float]] = field(default_factory=dict)
    residuals: list[float] = field(default_factory=list)
    iterations: list[float] = field(default_factory=list)
    size: int = 0

    def add(self, root: Path, path: Path) -> dict[str, Any]:
        """Read a shard and return its entry of the manifest."""
        shard = read_shard(path)
        self.first = self.first or shard
        _same_kind(path, shard, self.first)
        if isinstance(shard, MeshShard):
            self.points += [len(mesh.points) for mesh in shard.meshes]
            self.cells += [len(mesh.cells) for mesh in shard.meshes]
        for name, values in shard.fields.items():
            self.moments[name] = merge(self.moments.get(name), moments(values))
        for name, values in (
            shard.outputs.items() if isinstance(shard, Shard) and len(shard.times) > 1 else ()
        ):
            self.changes[name] = merge(
                self.changes.get(name), moments(np.diff(values.astype(np.float64), axis=1))
            )
        for name, column in shard.scalars.items():
            self.scalars[name] = merge(self.scalars.get(name), moments(column))
        self.residuals += list(shard.samples.get("residual_rel", ()))
        self.iterations += list(shard.samples.get("iterations", ()))
        self.size += path.stat().st_size
        first_id = int(shard.samples["sample_id"].min())
        file = path.relative_to(root).as_posix()
        return {"file": file, "sha256": sha256(path), "count": shard.count, "first_id": first_id}

    def flag(self) -> dict[str, Any]:
        """Return the entry of the manifest that says that the samples are no draws; empty where they are."""
        augmented = self.first.augmented if isinstance(self.first, Shard) else ""
        return {"augmented": augmented} if augmented else {}

    def place(self) -> dict[str, Any]:
        """Return the entry of the manifest that says where the values live."""
        first = self.first
        if not isinstance(first, MeshShard):
            return {} if first is None else {"grid": _grid_entry(first)}
        mesh, shared = first.meshes[0], len(first.meshes) == 1
        spans = {"points": [min(self.points), max(self.points)], "cells": [min(self.cells), max(self.cells)]}
        return {
            "mesh": {
                "cell_type": mesh.cell_type,
                "dim": mesh.dim,
                "shared": shared,
                **spans,
                "tags": sorted(mesh.facet_tags),
            }
        }


def _same_kind(path: Path, shard: Shard | MeshShard, first: Shard | MeshShard) -> None:
    """Refuse a shard of another dataset."""
    if type(shard) is not type(first):
        raise DataError(
            f"{path} holds a {type(shard).__name__}, the shards before it a {type(first).__name__}; use another --out"
        )
    place = () if isinstance(shard, MeshShard) else ("grid", "times", "mapped", "augmented")
    for what in ("name", *place, "problem", "seed"):
        if getattr(shard, what) != getattr(first, what):
            found, expected = getattr(shard, what), getattr(first, what)
            raise DataError(f"{path} has {what} {found}, the shards before it {expected}; use another --out")
    if list(shard.fields) != list(first.fields):
        raise DataError(f"{path} has other fields than the shards before it; use another --out")


def _grid_entry(shard: Shard) -> dict[str, Any]:
    grid = shard.grid
    entry = {
        "shape": list(grid.shape),
        "bounds": [list(ends) for ends in grid.bounds],
        "location": grid.location,
    }
    if shard.mapped:
        entry["mapped"] = True
    return entry | ({"times": list(shard.times)} if len(shard.times) > 1 else {})


def _field_entry(shard: Shard | MeshShard, name: str, moment: Mapping[str, float]) -> dict[str, Any]:
    values = shard.fields[name]
    return {
        "role": "input" if name in shard.inputs else "output", "dtype": str(values.dtype),
        "units": shard.units.get(name, "1"), "min": moment["min"], "mean": moment["mean"], "max": moment["max"],
        "std": (moment["m2"] / moment["count"]) ** 0.5,
    }  # fmt: skip


def moments(values: np.ndarray) -> dict[str, float]:
    """Return count, mean, sum of squared deviations, minimum and maximum of an array."""
    x = values.astype(np.float64)
    mean = float(x.mean())
    return {
        "count": x.size,
        "mean": mean,
        "m2": float(((x - mean) ** 2).sum()),
        "min": float(x.min()),
        "max": float(x.max()),
    }


def merge(one: Mapping[str, float] | None, two: Mapping[str, float]) -> dict[str, float]:
    """Merge the moments of two disjoint sets; None is the empty set."""
    if one is None:
        return dict(two)
    count, shift = one["count"] + two["count"], two["mean"] - one["mean"]
    return {
        "count": count,
        "mean": one["mean"] + shift * two["count"] / count,
        "m2": one["m2"] + two["m2"] + shift**2 * one["count"] * two["count"] / count,
        "min": min(one["min"], two["min"]),
        "max": max(one["max"], two["max"]),
    }


def statistics(
    merged: Mapping[str, Mapping[str, float]], changes: Mapping[str, Mapping[str, float]] | None = None
) -> dict[str, dict[str, float]]:
    """Return mean, std and rms of every field, and of its change from frame to frame, in The Well's layout.

    Args:
        merged: Moments of the values by field.
        changes: Moments of the changes of the fields that have frames; all others do not change.

    Returns:
        Six tables: "mean", "std", "rms", "mean_delta", "std_delta", "rms_delta".
    """
    still = {"count": 1, "mean": 0.0, "m2": 0.0}
    tables: dict[str, dict[str, float]] = {}
    for suffix, found in (
        ("", merged),
        ("_delta", {name: (changes or {}).get(name, still) for name in merged}),
    ):
        std = {name: (m["m2"] / m["count"]) ** 0.5 for name, m in found.items()}
        tables[f"mean{suffix}"] = {name: m["mean"] for name, m in found.items()}
        tables[f"std{suffix}"] = std
        tables[f"rms{suffix}"] = {name: (std[name] ** 2 + m["mean"] ** 2) ** 0.5 for name, m in found.items()}
    return tables


def _range(values: Sequence[float]) -> dict[str, float | None]:
    if not len(values):
        return {"max": None, "median": None}
    return {"max": float(np.max(values)), "median": float(np.median(values))}


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


def describe(root: str | Path) -> dict[str, Any]:
    """Return the manifest with the shape of every field, for `pdeflow info`.

    Args:
        root: Folder of the dataset.
    """
    manifest = read_manifest(root)
    total = sum(split["count"] for split in manifest["splits"].values())
    for entry in manifest["fields"].values():
        entry["shape"] = _shape(entry, total, manifest)
    return manifest


def _shape(entry: Mapping[str, Any], total: int, manifest: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the shape of a field over all samples; "n" where it differs from mesh to mesh."""
    if "mesh" in manifest:
        fewest, most = manifest["mesh"]["points"]
        return (total, fewest if fewest == most else "n")
    frames = len(manifest["grid"].get("times", ())) if entry["role"] == "output" else 0
    return (total, *([frames] if frames else []), *manifest["grid"]["shape"])


def place(manifest: Mapping[str, Any]) -> str:
    """Return in words where the values of a dataset live."""
    if "mesh" in manifest:
        mesh = manifest["mesh"]
        counts = {" to ".join(map(str, sorted(set(mesh[key])))) + f" {key}" for key in ("points", "cells")}
        whose = "one mesh" if mesh["shared"] else "a mesh each"
        return f"{whose}, {', '.join(sorted(counts, reverse=True))} ({mesh['cell_type']})"
    frames = len(manifest["grid"].get("times", ()))
    shape = " x ".join(map(str, manifest["grid"]["shape"]))
    return (
        shape
        + (f", {frames} frames" if frames else "")
        + (", curvilinear" if manifest["grid"].get("mapped") else "")
    )


def order_line(manifest: Mapping[str, Any]) -> str:
    """Return in words what sorting brought to a sorted dataset: closer neighbours, and fewer iterations or not."""
    gain = manifest["sorting"]
    share, before = gain.get("neighbour_distance"), gain.get("unsorted_iterations") or ()
    near = "" if share is None else f", neighbours at {share:.2f} of the distance as drawn"
    now = (manifest.get("iterations") or {}).get("median") if before else None
    fewer = "" if now is None else f"; {now:.3g} iterations in the median, {np.median(before):.3g} without"
    return f"sorted by similarity{near}{fewer}"
