"""Generate a dataset in a process that is killed; without a __main__ guard on purpose: OUT WORKERS [--shard i/n]."""

import sys

import pdeflow
from pdeflow.problems import Darcy

COUNT = {"train": 72, "valid": 8, "test": 16}
share = sys.argv[4] if sys.argv[3:4] == ["--shard"] else None
pdeflow.generate(
    Darcy(), sys.argv[1], count=COUNT, grid=[48, 48], seed=11, method="cg", chain_length=8, workers=int(sys.argv[2]),
    resume=share is None, shard=share,
)  # fmt: skip
