"""The picture of one solved instance: what it was solved for and every component of the solution, on a grid or mesh in the plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.geometry import Grid, Mesh
from pdeflow.problems import Instance, Problem
from pdeflow.problems.instance import Layout, points_of
from pdeflow.report.canvas import save_figure, save_numbers, show_field
from pdeflow.report.colours import as_norm, input_scale, limits
from pdeflow.report.mesh_fields import panels_for
from pdeflow.report.mesh_panels import show_grid_field, show_mesh_field
from pdeflow.report.obstacles import mask_solids


def plot_instance(path: str | Path, problem: Problem, instance: Instance, layout: Layout, x: np.ndarray) -> Path | None:
    """Draw the inputs of an instance beside its solution, a panel and a colour scale for each field; obstacles are grey.

    Args:
        path: PNG to write; ranges go to the ``.csv`` beside it.
        problem: What was solved.
        instance: The draw.
        layout: Grid or mesh of the system.
        x: Solution of the system, shape (n,), real or complex.

    Returns:
        The path written, or None where the layout is not in the plane.
    """
    if (layout.dim if isinstance(layout, Mesh) else len(layout.shape)) != 2:
        return None
    inputs, outputs = _inputs(problem, instance, layout), _outputs(problem, x, layout)
    if isinstance(layout, Grid):
        obstacles = problem.obstacles(instance, layout)
        solid = None if obstacles is None else ~obstacles.active.numpy()
        inputs = {name: mask_solids(v, solid) for name, v in inputs.items() if solid is None or not np.array_equal(v, ~solid)}
        outputs = {name: mask_solids(values, solid) for name, values in outputs.items()}
    panels = {f"input {name}": (v, input_scale(v)) for name, v in inputs.items()}
    panels |= {f"solution {name}": (v, as_norm(limits(v))) for name, v in outputs.items()}
    around = np.array(layout.bounds, dtype=float).T if isinstance(layout, Grid) else points_of(layout).numpy()
    axes = panels_for(around, len(panels), bars=True)
    if any(np.ma.is_masked(values) for values, _ in panels.values()):
        axes[0].figure.suptitle("grey: obstacles", fontsize=10)  # type: ignore[union-attr]
    for panel, (title, (values, span)) in zip(axes, panels.items(), strict=True):
        if isinstance(layout, Mesh):
            show_mesh_field(panel, layout.points, layout.cells, layout.cell_type, values, span)
        elif isinstance(layout, Grid):
            show_field(panel, values, span, extent=tuple(around.T.ravel().tolist()))  # type: ignore[arg-type]
        else:
            show_grid_field(panel, layout.coordinates(), values, span, periodic=layout.periodic)
        panel.set_title(title, fontsize=10)
    rows = [(name, float(v.min()), float(v.mean()), float(v.max())) for name, v in (inputs | outputs).items()]
    save_numbers(path, ("field", "min", "mean", "max"), rows)
    return save_figure(axes[0].figure, path)  # type: ignore[arg-type]


def _inputs(problem: Problem, instance: Instance, layout: Layout) -> dict[str, np.ndarray]:
    """Return the inputs that vary in space, or nothing where the problem has none; coordinates are in the picture anyway."""
    try:
        found = problem.input_values(instance, layout)
    except UsageError:  # a field that is declared, but not drawn
        return {}
    return {name: values for name, values in found.items() if name not in ("x", "y")}


def _outputs(problem: Problem, x: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    """Return the components of the solution, a complex one in two parts."""
    if np.iscomplexobj(x) and len(problem.outputs) == 1:
        name = problem.outputs[0]
        parts = {"real part": x.real.copy(), "imaginary part": x.imag.copy()}
        return {f"{name}, {part}": problem.unpack(values, layout)[name] for part, values in parts.items()}
    return problem.unpack(x, layout)
