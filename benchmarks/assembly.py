"""Assembly of -∇·(a∇u) with a new coefficient: refill of a fixed pattern against a fresh scikit-fem assembly.

Same mesh, element, quadrature rule and coefficient values at the quadrature points; one thread; medians. "set-up" is the
first call of each side (our tables and pattern; scikit-fem's Basis), needed once per mesh. The difference is relative to
the largest entry. Also a whole system (load, Dirichlet elimination) from coefficient functions.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import skfem
import torch
from skfem.helpers import dot, grad

from pdeflow.discretization.boundary import Dirichlet
from pdeflow.discretization.finite_element import FEMSpace, elliptic_system
from pdeflow.geometry.mesh import Mesh

RESULT = Path(__file__).resolve().parent / "results" / "assembly.md"


@dataclass(frozen=True)
class Entry:
    """One element on one mesh."""

    name: str
    element: str
    shape: tuple[int, ...]
    cell_type: str

    def mesh(self) -> Mesh:
        """Build the mesh, bent so that quadrilaterals are no parallelograms."""
        mesh = Mesh.box(self.shape, cell_type=self.cell_type)
        bump = 0.02 * torch.sin(2 * torch.pi * mesh.points).roll(1, dims=1)
        return replace(mesh, points=mesh.points + bump)


ENTRIES = [
    Entry("P1 triangles", "P1", (128, 128), "tri"),
    Entry("P2 triangles", "P2", (64, 64), "tri"),
    Entry("Q1 quadrilaterals", "Q1", (128, 128), "quad"),
    Entry("Q2 quadrilaterals", "Q2", (64, 64), "quad"),
    Entry("P1 tetrahedra", "P1", (24, 24, 24), "tet"),
    Entry("Q1 hexahedra", "Q1", (24, 24, 24), "hex"),
]


@skfem.BilinearForm
def diffusion(u, v, w):
    return w.a * dot(grad(u), grad(v))


def medians(calls: list[Callable[[], object]], repeats: int) -> list[float]:
    """Time the calls in turn, so that a busy moment of the machine meets all of them."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, times in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [1e3 * float(np.median(times)) for times in seconds]


def once(call: Callable[[], object]) -> tuple[object, float]:
    start = time.perf_counter()
    found = call()
    return found, 1e3 * (time.perf_counter() - start)


def coefficient(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(torch.sin(5 * x[:, 0]) * torch.cos(3 * x[:, 1]))


def row(entry: Entry, repeats: int) -> str:
    mesh = entry.mesh()
    mesh.validate()  # checked once per mesh, not part of either side

    def first() -> FEMSpace:
        space = FEMSpace(mesh, entry.element)
        space.stiffness()
        return space

    space, setup = once(first)
    basis, peer_setup = once(lambda: skfem.Basis(mesh.to_skfem(), space.skfem_element, intorder=space.order))
    x = space.quadrature_points
    a = coefficient(x.reshape(-1, space.dim)).reshape(x.shape[:2])
    values = np.ascontiguousarray(a.numpy())
    ours, peer = space.stiffness(a), diffusion.assemble(basis, a=values)
    difference = abs(ours - peer).max() / abs(peer).max()
    boundary = {"*": Dirichlet(0.0)}
    refill, fresh, system = medians(
        [
            lambda: space.stiffness(a),
            lambda: diffusion.assemble(basis, a=values),
            lambda: elliptic_system(space, coefficient, 1.0, boundary),
        ],
        repeats,
    )
    return (
        f"| {entry.name} | {space.n} | {len(space.dofs)} | {space.pattern.nnz} | {setup:.0f} | {peer_setup:.0f} | {refill:.2f} "
        f"| {fresh:.1f} | {fresh / refill:.0f} | {difference:.1e} | {system:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=31)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Assembly with a new coefficient: refill against scikit-fem",
        "",
        f"scikit-fem {skfem.__version__}, NumPy {np.__version__}, Python {platform.python_version()}, "
        f"{platform.machine()}, one thread, medians in ms, load average {os.getloadavg()[0]:.1f} at the start. Written by `benchmarks/assembly.py`.",
        "",
        "| element | unknowns | cells | entries | set-up | scikit-fem set-up | refill | fresh scikit-fem | times faster "
        "| largest difference | whole system |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(row(entry, options.repeats) for entry in ENTRIES),
        "",
        "Both sides take the same coefficient values at the same quadrature points, and scikit-fem's basis is built "
        "beforehand. Set-up is the first call on a mesh: tables, pattern and one matrix here, `Basis` there. The "
        "difference is relative to the largest entry. The whole system evaluates a coefficient function and a load "
        "and eliminates the Dirichlet nodes.",
    ]
    print("\n".join(lines))
    RESULT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
