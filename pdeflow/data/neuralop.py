"""neuraloperator's .pt files: {"x": (N, *grid), "y": (N, *grid)} without coordinates, units or equation.

neuraloperator 2.0, data/datasets/pt_dataset.py (NAME_train_RES.pt, NAME_test_RES.pt).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from pdeflow.data.conversion import new_files, pair, refuse_mesh
from pdeflow.data.dataset import PDEDataset
from pdeflow.data.manifest import read_manifest
from pdeflow.data.store import Shard
from pdeflow.errors import DataError, UsageError


def read_pt(path: Path) -> Shard:
    """Read a .pt file; its values are taken to sit at the nodes of the unit cube.

    Args:
        path: The file.

    Returns:
        Its samples, without names and numbers.

    Raises:
        DataError: If it is damaged, holds anything else, or its arrays do not fit together.
    """
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{path} is not a readable .pt file ({reason}); download it again") from error
    keys = list(content) if isinstance(content, Mapping) else type(content).__name__
    if not isinstance(content, Mapping) or not all(isinstance(content.get(k), torch.Tensor) for k in "xy"):
        raise DataError(f"{path} must hold tensors x and y, found {keys}")
    shard = pair(path, content["x"].numpy(), content["y"].numpy())
    return replace(shard, augmented=str(content.get("augmented", "")))


def export_neuralop(root: str | Path, out: str | Path) -> list[Path]:
    """Write the splits of a dataset as neuraloperator's .pt files NAME_SPLIT_N.pt, in float32.

    Args:
        root: Folder of the dataset.
        out: Folder for the files.

    Returns:
        The files.

    Raises:
        UsageError: If there is no dataset, it has several channels, or a file exists.
        DataError: If the dataset is damaged.
    """
    info, out = read_manifest(root), Path(out)
    refuse_mesh(root, info, ".pt")
    frames = info["grid"].get("times", ())
    if len(info["fields"]) != 2 or frames:
        raise UsageError(
            f"{root} has the fields {', '.join(info['fields'])}{f' in {len(frames)} frames' if frames else ''}; "
            ".pt files hold one input and one solution, use --to npy"
        )
    names = [f"{info['name']}_{split}_{info['grid']['shape'][0]}.pt" for split in info["splits"]]
    flag = {"augmented": info["augmented"]} if info.get("augmented") else {}
    paths = new_files(out, names)
    out.mkdir(parents=True, exist_ok=True)
    for split, path in zip(info["splits"], paths, strict=True):
        a, u = PDEDataset(root, split).tensors()
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        torch.save({"x": a[:, 0].clone(), "y": u[:, 0].clone(), **flag}, aside)
        os.replace(aside, path)
    return paths
