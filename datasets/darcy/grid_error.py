"""Grid error of a generated dataset: every hundredth sample is drawn again and solved on a grid of twice the cells per axis.

Usage: python datasets/darcy/grid_error.py DIR [EVERY]. The same seed gives the same function at every resolution, so
the difference of the two solutions, after averaging 2 x 2 fine cells, measures the error of the coarse one.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from pdeflow import seeds, solve
from pdeflow.data import PDEDataset
from pdeflow.data.manifest import read_manifest


def grid_errors(root: str, every: int = 100) -> np.ndarray:
    """Return ||u_h - mean of u_{h/2}|| / ||mean of u_{h/2}|| of every so-manieth sample of a 2-D dataset.

    Args:
        root: Folder of the dataset.
        every: 100 takes one per cent of the samples.
    """
    errors = []
    for split in read_manifest(root)["splits"]:
        data = PDEDataset(root, split, dtype=torch.float64)
        first, (rows, columns) = data.info["splits"][split]["first_id"], data.grid.shape
        fine = data.problem.grid((2 * rows, 2 * columns))
        for i in range(-first % every, len(data), every):
            instance = data.problem.sample(seeds.generator(data.info["seed"], seeds.INPUTS, first + i))
            solution = solve(data.problem.system(instance, fine), rtol=1e-10)
            averaged = solution.x.reshape(rows, 2, columns, 2).mean(axis=(1, 3))
            errors.append(np.linalg.norm(data[i]["u"][0].numpy() - averaged) / np.linalg.norm(averaged))
    return np.array(errors)


if __name__ == "__main__":
    found = grid_errors(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100)
    print(f"{len(found)} samples: grid error median {np.median(found):.2%}, largest {found.max():.2%}")
