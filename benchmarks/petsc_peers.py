"""PETSc's preconditioners beside PyAMG's and ilupp's inside the same conjugate gradients, on Poisson's equation in space.

Cell-centred finite volumes on the unit cube, p = 0 on its sides, white noise as right-hand side, relative residual 1e-6 verified in
float64; one thread, set-up and solve apart, medians of three. Needs petsc4py, and of the package only pdeflow.linalg.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
import statistics
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem, solve

RESULT = Path(__file__).resolve().parent / "results" / "petsc_peers.md"
NAMES = ("none", *(["ic"] if find_spec("ilupp") else []), "amg:sa", "amg:rs", "petsc:icc", "petsc:gamg", "petsc:hypre")
HEADER = "| grid | preconditioner of CG | iterations | set-up ms | solve ms |\n|---|---|---:|---:|---:|"


def laplace(n: int) -> LinearSystem:
    """Assemble n³ cells with white noise."""
    main = np.full(n, 2.0)
    main[[0, -1]] = 3.0  # the side is half a cell from the centre
    line, one = sp.diags_array([main, -np.ones(n - 1), -np.ones(n - 1)], offsets=[0, 1, -1]), sp.eye_array(n)
    parts = ((line, one, one), (one, line, one), (one, one, line))
    A = sp.csr_array(sum(sp.kron(sp.kron(a, b), c) for a, b, c in parts)) / n
    return LinearSystem(A=A, b=np.random.default_rng(0).standard_normal(n**3), symmetric=True, positive_definite=True)


def row(n: int, name: str) -> str | None:
    """Solve three times; None where this PETSc has no such preconditioner."""
    try:
        found = [solve(laplace(n), method="cg", preconditioner=name, rtol=1e-6) for _ in range(3)]
    except UsageError as error:
        print(error)
        return None
    setup, seconds = (1e3 * statistics.median(getattr(f, key) for f in found) for key in ("seconds_setup", "seconds_solve"))
    return f"| {n}³ | {name} | {found[0].iterations} | {setup:.0f} | {seconds:.0f} |" if found[0].converged else None


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grids", type=int, nargs="+", default=[32, 64, 96])
    parser.add_argument("--write", action="store_true", help=f"Write {RESULT.name}.")
    arguments = parser.parse_args()
    from petsc4py import PETSc

    lines = [HEADER]
    for n in arguments.grids:
        for name in NAMES:
            if line := row(n, name):
                lines.append(line)
                print(line, flush=True)
    if arguments.write:
        about = " ".join((__doc__ or "").split("\n\n")[1].split())
        version = ".".join(map(str, PETSc.Sys.getVersion()))
        note = f"{about} PETSc {version}, {platform.machine()}, `python benchmarks/petsc_peers.py --write`."
        RESULT.write_text("\n".join(["# PETSc's preconditioners", "", note, "", *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
