"""`pdeflow doctor`: versions, devices, optional packages and what each unlocks, and a solve with a verified residual."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from pdeflow.cli.exit_codes import INTERNAL, OK
from pdeflow.errors import UsageError

REQUIRED = ("torch", "neuraloperator", "lightning", "jsonargparse", "numpy", "scipy", "pyamg", "scikit-fem", "h5py",
            "matplotlib", "rich", "safetensors", "pyyaml")  # fmt: skip
OPTIONAL = {  # module: (distribution, what installs it, what for)
    "meshio": ("meshio", "pdeflow[mesh]", "mesh files of other programs: .msh, .vtu, .obj, and --to vtu"),
    "gmsh": ("gmsh", "pdeflow[mesh]", "GPL: triangles in polygons; without it meshes come from the built-in DistMesh"),
    "igl": ("libigl", "pdeflow[geom]", "closest points of triangle surfaces, faster than our own trees"),
    "warp": ("warp-lang", "warp-lang", "closest points of triangle surfaces on an NVIDIA GPU"),
    "kvxopt": ("kvxopt", "pdeflow[direct]", "CHOLMOD, GPL-3: the fastest direct solver for symmetric positive definite systems"),
    "ilupp": ("ilupp", "pdeflow[direct]", "incomplete Cholesky, GPL-3: --preconditioner ic"),
    "petsc4py": ("petsc4py", "petsc4py", "PETSc: --preconditioner petsc:TYPE, and matrices of petsc4py"),
    "the_well": ("the-well", "pdeflow[dev]", "the reader of The Well, which opens our datasets"),
}


def main(argv: list[str], command: str = "doctor") -> int:
    """Print the state of the installation and test it.

    Args:
        argv: Nothing.
        command: Its name.

    Returns:
        0, or 1 where the self-test failed.

    Raises:
        UsageError: If there are arguments.
    """
    if rest := [word for word in argv if word not in ("-q", "-v")]:
        raise UsageError(f"doctor takes no arguments, got {' '.join(rest)}")
    print(
        f"pdeflow {version('pdeflow')}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    print("packages    " + ", ".join(f"{name} {_version(name)}" for name in REQUIRED))
    for name, (distribution, source, use) in OPTIONAL.items():
        state = _version(distribution) if find_spec(name) else f"not installed (pip install '{source}')"
        print(f"optional    {name}: {state}; {use}")
    print(f"threads     OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}, {os.cpu_count()} cores")
    return self_test()


def self_test() -> int:
    """Solve a small Darcy system by multigrid and report the verified residual.

    Returns:
        Exit code.
    """
    import torch

    from pdeflow import seeds
    from pdeflow.linalg import solve
    from pdeflow.problems import Darcy

    print(
        f"device      {torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu'}, torch {torch.__version__}"
    )
    problem, start = Darcy(), time.perf_counter()
    system = problem.system(problem.sample(seeds.generator(0, seeds.SOLVE, 0)), problem.grid((64, 64)))
    solution = solve(system, method="cg", preconditioner="amg", rtol=1e-10)
    print(f"self-test   {solution} ({time.perf_counter() - start:.2f} s in all)")
    return OK if solution.converged else INTERNAL


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "MISSING"
