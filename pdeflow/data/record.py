"""What every shard says about its samples, whatever they live on: problem, seed, parameters, verdicts.

Additions of ours to the layout of The Well (Ohana et al., NeurIPS 2024).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Record:
    """The part that shards on grids and on meshes share; subclasses add layout, inputs and outputs.

    Attributes:
        name: Name of the dataset.
        samples: Columns of SAMPLE_COLUMNS, shape (N,); those that are missing are left out of the file.
        problem: {"class_path", "init_args"} of the problem, or None for imported data.
        equation: The PDE in one line, or "".
        units: Unit of each field; "1" (dimensionless) where missing.
        seed: Root seed, or None.
        scalars: Parameters of the samples by name, shape (N,).
    """

    name: str
    samples: Mapping[str, np.ndarray] = field(default_factory=dict)
    problem: Mapping[str, Any] | None = None
    equation: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    scalars: Mapping[str, np.ndarray] = field(default_factory=dict)


def header(record: Record, inputs: Sequence[str], outputs: Sequence[str], count: int) -> dict[str, Any]:
    """Return the attributes of a file that both layouts have.

    Args:
        record: The shard.
        inputs: Names of its input fields.
        outputs: Names of its solution fields.
        count: Number of its samples.
    """
    return {
        "dataset_name": record.name, "n_trajectories": count, "pdeflow_format": FORMAT, "equation": record.equation,
        "problem": json.dumps(record.problem), "root_seed": -1 if record.seed is None else record.seed,
        "input_fields": list(inputs), "output_fields": list(outputs),
    }  # fmt: skip


def read_header(file: h5py.File, group: str) -> dict[str, Any]:
    """Return the arguments of `Record` from an open file.

    Args:
        file: Open file.
        group: Group of its fields.

    Raises:
        KeyError: If a part is missing.
    """
    seed = int(file.attrs["root_seed"])
    names = [str(name) for role in ("input", "output") for name in file.attrs[f"{role}_fields"]]
    return {
        "name": str(file.attrs["dataset_name"]), "problem": json.loads(file.attrs["problem"]),
        "equation": str(file.attrs["equation"]), "seed": None if seed < 0 else seed,
        "samples": {name: column[()] for name, column in file.get("samples", {}).items()},
        "scalars": {name: column[()] for name, column in file["scalars"].items()},
        "units": {name: str(file[group][name].attrs["units"]) for name in names},
    }  # fmt: skip
