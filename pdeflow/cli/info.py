"""`pdeflow info`: what a dataset, a run folder, a mesh, a matrix or a settings file holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pdeflow.cli.exit_codes import OK
from pdeflow.errors import UsageError

MESHES = (
    ".vtu", ".msh", ".obj", ".vtk", ".xdmf", ".stl", ".ply", ".off", ".inp", ".mesh", ".med", ".e", ".exo", ".bdf", ".nas",
    ".su2", ".cgns", ".avs", ".vol",
)  # fmt: skip
"""Suffixes that `info` takes for meshes."""


def main(argv: list[str], command: str = "info") -> int:
    """Describe a path.

    Args:
        argv: The path.
        command: Its name.

    Returns:
        Exit code.
    """
    rest = [word for word in argv if word not in ("-q", "-v")]
    if len(rest) != 1:
        raise UsageError(f"expected one path: pdeflow info DATASET | RUN | MESH.vtu | A.mtx | FILE.yaml, got {rest}")
    print(text_of(Path(rest[0])))
    return OK


def text_of(path: Path) -> str:
    """Return what a path holds.

    Args:
        path: Dataset folder, shard, run folder, mesh, matrix or settings file.

    Returns:
        Lines for people.

    Raises:
        UsageError: If it is none of these, or a mesh that needs the extra `mesh`.
        DataError: If a mesh file is damaged.
    """
    if not path.exists():
        path = shipped(path)
    if path.is_dir() and (path / "manifest.json").is_file():
        from pdeflow.data import describe

        return dataset_lines(describe(path))
    if (path / "plan.json").is_file():
        return f"dataset     {path}, not finished\ngo on with  pdeflow generate --resume --out {path}"
    if path.is_dir():
        return run_lines(path)
    if is_mesh(path):
        from pdeflow.cli.mesh_info import mesh_lines

        return mesh_lines(path)
    if {"u", "index"} <= arrays_in(path):
        return prediction_lines(path)
    if path.suffix in (".mtx", ".npz", ".gz"):
        from pdeflow.linalg import describe as describe_matrix
        from pdeflow.linalg.matrix_files import read_matrix

        return f"matrix      {path}\nstructure   {describe_matrix(read_matrix(path))}\nsolve with  pdeflow solve {path}"
    if path.suffix in (".yaml", ".yml"):
        from pdeflow.cli import experiment

        content = experiment.read(path)
        kind = (
            "sections    " + ", ".join(experiment.stages(content))
            if experiment.is_experiment(content)
            else "one command's settings"
        )
        command = "run" if experiment.is_experiment(content) else f"{experiment.command_of(content) or 'solve'} -c"
        return f"settings    {path}\n{kind}\nrun with    pdeflow {command} {path}"
    if path.suffix in (".hdf5", ".h5"):
        raise UsageError(f"{path} is one shard; name the dataset's folder, the one with manifest.json")
    raise UsageError(
        f"{path} is neither a dataset, a run folder, a mesh (.vtu, .msh, .obj, …), a matrix (.mtx, .npz) nor a settings "
        "file (.yaml)"
    )


def shipped(path: Path) -> Path:
    """Return the settings file that ships with the package under this name: configs/fit/darcy.yaml, or darcy_quickstart.

    Raises:
        UsageError: If none does.
    """
    from pdeflow.cli import experiment

    try:
        return experiment.find(str(path))
    except UsageError as error:
        raise UsageError(f"{path} not found") from error


def arrays_in(path: Path) -> set[str]:
    """Return the names of the arrays of an .npz file; none of another file."""
    import zipfile

    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return set()
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def prediction_lines(path: Path) -> str:
    """Return what `pdeflow predict` wrote."""
    import numpy as np

    with np.load(path) as arrays:
        count, *shape = arrays["u"].shape
    fields = f"u, {count} samples of {shape_text(shape)} (channels, grid); index, their numbers in the split"
    return f"predictions {path}\nfields      {fields}\nread with   numpy.load({str(path)!r})"


def is_mesh(path: Path) -> bool:
    """Return whether a file holds a mesh: by its suffix, and for .npz and .h5 by what is in it."""
    if path.suffix == ".npz":
        return "cells" in arrays_in(path)
    if path.suffix in (".h5", ".hdf5"):
        import h5py

        if not h5py.is_hdf5(path):
            return False
        with h5py.File(path, "r") as file:
            return "cell_type" in file["mesh"].attrs if "mesh" in file else False
    return path.suffix.lower() in MESHES


def dataset_lines(found: dict[str, Any]) -> str:
    """Return the description of a dataset in a few aligned lines."""
    from pdeflow.data.manifest import order_line
    from pdeflow.report import text_table

    splits = ", ".join(f"{name} {split['count']}" for name, split in found["splits"].items())
    total = sum(split["count"] for split in found["splits"].values())
    header = ("field", "role", "shape", "dtype", "units", "min", "mean", "max")
    rows = [
        (name, *(shape_text(field[key]) if key == "shape" else field.get(key) for key in header[1:]))
        for name, field in found["fields"].items()
    ]
    lines = [
        f"dataset     {found['name']}, format {found['format']}, {total} samples ({splits}), {found['bytes'] / 1e6:.1f} MB",
        f"problem     {found.get('equation') or 'unknown: imported data'}",
        where(found),
        text_table(header, rows),
    ]
    if found.get("scalars"):
        spans = [f"{name} {m['min']:.3g} to {m['max']:.3g}" for name, m in found["scalars"].items()]
        more = f", and {len(spans) - 6} more" if len(spans) > 6 else ""
        lines.append(f"scalars     {', '.join(spans[:6])}{more}")
    residual = found.get("residual") or {}
    if residual.get("max") is not None:
        lines.append(
            f"solves      {found.get('solver')}; {found.get('verdict', 'relative residual')} max {residual['max']:.1e}, "
            f"median {residual['median']:.1e}; seed {found.get('seed')}"
        )
    if found.get("sorting"):
        lines.append(f"order       {order_line(found)}")
    return "\n".join(lines)


def shape_text(shape: Sequence[int | str]) -> str:
    """Return a shape in words: 8 × 64 × 64, or 8 × n points where n differs from mesh to mesh."""
    return " × ".join(map(str, shape)) + (" points" if shape[-1] == "n" else "")


def where(found: dict[str, Any]) -> str:
    """Return the line that says where the values of a dataset live."""
    from pdeflow.data.manifest import place

    if "mesh" in found:
        return f"mesh        {place(found)}; boundary parts {', '.join(found['mesh']['tags']) or 'unnamed'}"
    return f"grid        {place(found)}, values at {found['grid']['location']}s"


def run_lines(path: Path) -> str:
    """Return the stages of a run with their main figures."""
    from pdeflow.run_folder import exports, metric_text, read_json, resolve
    from pdeflow.run_folder.unfinished import resume_command, unfinished

    run = resolve(path)
    stopped, trained = unfinished(run), exports(run)
    width = max([11, *(len(name) for name in [*trained, *(folder.name for folder in stopped)])])
    lines = [f"{'run':<{width}} {run}"]
    if (run / "run.json").is_file():
        made = read_json(run / "run.json")
        lines.append(
            f"{'made by':<{width}} {made['command']} (pdeflow {made['versions']['pdeflow']}), {made['started']}, {made['device']}"
        )
    if (run / "generate" / "manifest.json").is_file():
        from pdeflow.data import describe

        lines.append(
            f"{'generate':<{width}} " + dataset_lines(describe(run / "generate")).splitlines()[0].split(maxsplit=1)[1]
        )
    for name, settings in trained.items():
        most = settings.get("most_iterations")
        numbers = [metric_text(key, value, most) for key, value in (settings.get("metrics") or {}).items()]
        lines.append(f"{name:<{width}} " + ", ".join([settings["kind"], settings["network"]["class_path"], *numbers]))
    lines += [f"{folder.name:<{width}} training not finished; go on with: {resume_command(folder)}" for folder in stopped]
    lines += [
        f"{stage:<{width}} {run / stage / 'summary.json'}"
        for stage in ("evaluate", "solve")
        if (run / stage / "summary.json").is_file()
    ]
    lines += [f"{'report':<{width}} {run / 'report.html'}"] if (run / "report.html").is_file() else []
    if len(lines) == 1:
        raise UsageError(f"{run} is neither a dataset (no manifest.json) nor a run folder (no stage in it)")
    return "\n".join(lines)
