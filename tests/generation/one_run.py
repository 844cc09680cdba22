"""Generate the dataset of test_same_bytes in a process that can be killed: OUT WORKERS RESUME."""

import sys

from pdeflow.generation import generate
from pdeflow.problems import Darcy

COUNT = {"train": 40, "valid": 8, "test": 8}
SETTINGS = {"count": COUNT, "grid": [40, 40], "seed": 3, "method": "cg", "chain_length": 8}

if __name__ == "__main__":
    generate(Darcy(), sys.argv[1], workers=int(sys.argv[2]), resume=sys.argv[3] == "resume", **SETTINGS)
