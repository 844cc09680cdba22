"""Grid or mesh error of a generated dataset: some samples are drawn again and solved at twice the resolution.

Usage: python datasets/grid_error.py DIR [COUNT]. The same seed gives the same function at every resolution, so the
difference of the two solutions measures the error of the coarse one: three quarters of it for methods of second order.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pdeflow import seeds, solve
from pdeflow.data import MeshDataset, PDEDataset
from pdeflow.data.manifest import read_manifest
from pdeflow.geometry import Grid, MappedGrid, Mesh


def grid_errors(root: str, count: int = 20) -> np.ndarray:
    """Return ||u_h - u_{h/2}|| / ||u_{h/2}||, all outputs together, of samples spread evenly over a dataset.

    Args:
        root: Folder of the dataset.
        count: Number of samples.
    """
    manifest = read_manifest(root)
    recipe = json.loads((Path(root) / "plan.json").read_text())["recipe"]
    kind = MeshDataset if recipe["grid"] is None else PDEDataset
    total = sum(split["count"] for split in manifest["splits"].values())
    wanted = np.unique(np.arange(count) * total // count)
    errors = []
    for name in manifest["splits"]:
        data = kind(root, name, dtype=torch.float64)
        places = np.flatnonzero(np.isin(data.sample_ids, wanted))
        errors += [_error(data, int(i), recipe) for i in places]
    return np.array(errors)


def _error(data: Any, index: int, recipe: dict[str, Any]) -> float:
    """Compare one stored sample, given by its place, with the solution at twice the resolution."""
    instance = data.problem.sample(seeds.generator(recipe["seed"], seeds.INPUTS, int(data.sample_ids[index])))
    coarse, fine = (
        data.problem.layout(instance, resolution)
        for resolution in (
            (tuple(recipe["grid"]), tuple(2 * n for n in recipe["grid"]))
            if recipe["grid"]
            else (recipe["h"], recipe["h"] / 2)
        )
    )
    answer = data.problem.compute(instance, fine, partial(solve, method="direct", rtol=1e-10))
    stored = data[index]["u"].numpy()
    values = (
        stored.T if isinstance(coarse, Mesh) else stored.reshape(-1, *coarse.shape)
    )  # (channels, *points)
    found = np.concatenate([restrict(field, fine, coarse) for field in answer.fields.values()])
    weights = np.broadcast_to(_weights(coarse), found.shape)
    inside = ~np.isnan(found)
    squares = weights[inside] * (values - found)[inside] ** 2
    return float(np.sqrt(squares.sum() / (weights[inside] * found[inside] ** 2).sum()))


def restrict(u: np.ndarray, fine: Grid | MappedGrid | Mesh, coarse: Grid | MappedGrid | Mesh) -> np.ndarray:
    """Take values to the points of a layout of half the resolution.

    Args:
        u: Values on the fine layout, shape (..., *points).
        fine: Layout of the values.
        coarse: Layout of the result.

    Returns:
        Shape (channels, *points): means of 2 x 2 x … cells, every second node, or linear interpolation, NaN where a
        point lies outside of the fine mesh (a curved boundary).
    """
    if isinstance(fine, Mesh):
        at = coarse.points  # type: ignore[union-attr]
        return fine.interpolate(torch.from_numpy(np.asarray(u)).reshape(-1, len(fine.points)), at).numpy()
    axes = len(fine.shape)
    u = np.asarray(u).reshape(-1, *fine.shape)
    if isinstance(fine, Grid) and fine.location == "cell":
        pairs = [n for size in coarse.shape for n in (size, 2)]  # type: ignore[union-attr]
        return u.reshape(-1, *pairs).mean(axis=tuple(range(2, 2 * axes + 1, 2)))
    return u[(slice(None), *(slice(None, None, 2),) * axes)]


def _weights(layout: Grid | MappedGrid | Mesh) -> np.ndarray:
    return (layout.node_weights() if isinstance(layout, Mesh) else layout.weights()).numpy()


if __name__ == "__main__":
    found = grid_errors(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20)
    print(f"{len(found)} samples: error median {np.median(found):.2%}, largest {found.max():.2%}")
