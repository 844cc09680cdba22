"""The pictures of a dataset: its first samples, on whatever they live, and the distribution of every field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from pdeflow.data.dataset import read_split
from pdeflow.data.mesh_store import MeshShard
from pdeflow.data.store import Shard
from pdeflow.errors import DataError
from pdeflow.problems.problem import problem_from
from pdeflow.report.canvas import (
    add_colour_bar,
    label_axes,
    line_style,
    new_figure,
    save_figure,
    save_numbers,
    show_field,
)
from pdeflow.report.colours import Span, input_scale, limits
from pdeflow.report.cut import middle_slice, where_cut
from pdeflow.report.fields import plot_histograms
from pdeflow.report.mesh_panels import (
    WIDE,
    explain_colours,
    frame,
    proportion,
    show_grid_field,
    show_mesh_field,
)
from pdeflow.report.obstacles import mask_solids, solid_cells
from pdeflow.report.solves import plot_race, plot_solves

SAMPLES, FRAMES = 4, 4
Draw = Callable[[Axes, int, np.ndarray, Span], Any]


def plot_dataset(root: Path, folder: Path) -> list[Path]:
    """Draw the first training samples and the histograms of all fields, without the cells in obstacles.

    Args:
        root: Folder of the dataset.
        folder: Where the pictures go: samples.png and data_histograms.png, with their numbers beside them.

    Returns:
        The pictures; a dataset in three dimensions is shown by its middle slice.
    """
    manifest, parts = read_split(root, next(iter(_splits(root))))
    first = parts[0]
    solid = [None if isinstance(part, MeshShard) else _solid_cells(part) for part in parts]
    every = {
        f"{'input' if entry['role'] == 'input' else 'solution'} {name} ({_unit(first, name)})": np.ma.concatenate(
            [np.ma.ravel(mask_solids(part.fields[name], cells)) for part, cells in zip(parts, solid, strict=True)]
        )
        for name, entry in manifest["fields"].items()
    }
    pictures = [*_plot_first(folder / "samples.png", first), plot_histograms(folder / "data_histograms.png", every)]
    race = manifest.get("race") or {}
    seconds = race.get("seconds_per_sample")
    if "residual_rel" in first.samples:
        residuals, iterations, places = (
            np.concatenate([part.samples[column] for part in parts]) for column in ("residual_rel", "iterations", "chain_pos")
        )
        options: dict[str, Any] = {
            "rtol": manifest.get("rtol"),
            "verdict": manifest.get("verdict") or "relative residual",
            "counted": manifest.get("counted") or "iterations",
            "unsorted": (manifest.get("sorting") or {}).get("unsorted_iterations") or (),
        }
        pictures.append(plot_solves(folder / "solves.png", residuals, iterations, places, **options))
    return [*pictures, *([plot_race(folder / "race.png", seconds, race.get("slower"))] if seconds else [])]


def _splits(root: Path) -> Sequence[str]:
    from pdeflow.data.manifest import read_manifest

    return list(read_manifest(root)["splits"])


def _unit(shard: Shard | MeshShard, name: str) -> str:
    unit = shard.units.get(name, "1")
    return "dimensionless" if unit == "1" else unit


def _plot_first(path: Path, shard: Shard | MeshShard) -> list[Path]:
    """Choose the kind of picture."""
    if isinstance(shard, MeshShard):
        return [_plot_on_meshes(path, shard)] if shard.meshes[0].dim == 2 else []
    frames = len(shard.times) > 1
    if shard.grid.ndim == 1:
        return [_plot_space_time(path, shard) if frames else _plot_lines(path, shard)]
    if frames:
        return [_plot_frames(path, shard)]
    return [_plot_mapped(path, shard) if shard.mapped else _plot_grid(path, shard)]


def _plot_grid(path: Path, shard: Shard) -> Path:
    """Rows are fields, columns are samples, on a uniform grid; obstacles are grey."""
    extent = tuple(end for ends in shard.grid.bounds[:2] for end in ends)

    def draw(axes: Axes, sample: int, values: np.ndarray, span: Span) -> Any:
        return show_field(axes, middle_slice(values, shard.grid), span, extent=extent, bar=False)  # type: ignore[arg-type]

    solid = _solid_cells(shard, SAMPLES)
    fields = {name: list(mask_solids(values[:SAMPLES], solid)) for name, values in shard.fields.items()}
    (low_x, high_x), (low_y, high_y) = shard.grid.bounds[:2]
    box = np.array([[low_x, low_y], [high_x, high_y]])
    notes = (where_cut(shard.grid), "grey: obstacles" if solid is not None else "")
    return _table(path, shard, fields, draw, box, ", ".join(filter(None, notes)))


def _solid_cells(shard: Shard, count: int | None = None) -> np.ndarray | None:
    """Return the cells in obstacles of the first samples, or None where there are none or the problem's class is not here."""
    inputs, scalars = ({name: v[:count] for name, v in columns.items()} for columns in (shard.inputs, shard.scalars))
    try:
        return solid_cells(problem_from(shard.problem) if shard.problem else None, shard.grid, inputs, scalars)
    except DataError:
        return None


def _plot_mapped(path: Path, shard: Shard) -> Path:
    """Rows are fields, columns are samples, on curvilinear grids."""
    x = np.stack([shard.inputs["x"], shard.inputs["y"]], axis=-1)

    def draw(axes: Axes, sample: int, values: np.ndarray, span: Span) -> Any:
        return show_grid_field(axes, x[sample], values, span, periodic=shard.grid.periodic, bar=False)

    fields = {name: list(v[:SAMPLES]) for name, v in shard.fields.items() if name not in ("x", "y")}
    return _table(path, shard, fields, draw, x[:SAMPLES].reshape(-1, 2))


def _plot_on_meshes(path: Path, shard: MeshShard) -> Path:
    """Rows are fields, columns are samples, on meshes."""

    def draw(axes: Axes, sample: int, values: np.ndarray, span: Span) -> Any:
        mesh = shard.mesh(sample)
        return show_mesh_field(axes, mesh.points, mesh.cells, mesh.cell_type, values, span, bar=False)

    count = min(shard.count, SAMPLES)
    fields = {name: list(parts[:count]) for name, parts in {**shard.inputs, **shard.outputs}.items()}
    return _table(path, shard, fields, draw, np.concatenate([shard.mesh(i).points.numpy() for i in range(count)]))


def _table(
    path: Path, shard: Shard | MeshShard, fields: dict[str, list[np.ndarray]], draw: Draw, around: np.ndarray, title: str = ""
) -> Path:
    """Draw panels, rows of fields and columns of samples, one colour scale per field."""
    count, wide = len(next(iter(fields.values()))), proportion(around) > WIDE
    if wide:  # long shapes: samples below each other, fields beside each other, colour bars at the bottom
        figure = new_figure(4.2 * len(fields), (4.2 / proportion(around) + 0.35) * count + 0.8)
        panels = figure.subplots(count, len(fields), squeeze=False).T
    else:
        figure = new_figure(2.0 * count + 1.2, (2.0 / max(proportion(around), 0.4) + 0.35) * len(fields) + 0.2)
        panels = figure.subplots(len(fields), count, squeeze=False)
    if title:
        figure.suptitle(title, fontsize=10)
    rows: list[tuple[object, ...]] = []
    for line, (name, values) in zip(panels, fields.items(), strict=True):
        span = (input_scale if name in shard.inputs else limits)(*values)
        for sample, axes in enumerate(line):
            image = draw(axes, sample, values[sample], span)
            frame(axes, around)
            axes.set_title(f"{name}, sample {sample}", fontsize=10)
            axes.label_outer()
            v = values[sample]
            rows.append((name, sample, float(v.min()), float(v.mean()), float(v.max())))
        explain_colours(line[-1], image, f"{name} ({_unit(shard, name)})", around)
    save_numbers(path, ("field", "sample", "min", "mean", "max"), rows)
    return save_figure(figure, path)


def _plot_frames(path: Path, shard: Shard) -> Path:
    """Rows are samples, columns are times, for the first output on a grid of two axes."""
    name, values = next(iter(shard.outputs.items()))
    chosen = np.unique(np.linspace(0, len(shard.times) - 1, FRAMES).round().astype(int))
    count = min(len(values), 3)
    figure = new_figure(2.0 * len(chosen) + 1.2, 2.35 * count + 0.2)
    extent = tuple(end for ends in shard.grid.bounds[:2] for end in ends)
    rows: list[tuple[object, ...]] = []
    for sample, line in enumerate(figure.subplots(count, len(chosen), squeeze=False)):
        span = limits(values[sample][chosen])
        for axes, k in zip(line, chosen, strict=True):
            field = middle_slice(values[sample, k], shard.grid)
            image = show_field(axes, field, span, extent=extent, bar=False)  # type: ignore[arg-type]
            axes.set_title(f"sample {sample}, t = {shard.times[k]:.3g}", fontsize=10)
            axes.label_outer()
            rows.append((name, sample, shard.times[k], float(field.min()), float(field.mean()), float(field.max())))
        add_colour_bar(line[-1], image, f"{name} ({_unit(shard, name)})")
    save_numbers(path, ("field", "sample", "time", "min", "mean", "max"), rows)
    return save_figure(figure, path)


def _plot_space_time(path: Path, shard: Shard) -> Path:
    """Every sample over space and time, for the first output on a grid of one axis."""
    name, values = next(iter(shard.outputs.items()))
    count, x = min(len(values), SAMPLES), shard.grid.axis(0).numpy()
    figure = new_figure(2.3 * count + 1.2, 2.8)
    span, rows = limits(values[:count]), []
    for sample, axes in enumerate(figure.subplots(1, count, squeeze=False)[0]):
        image = axes.pcolormesh(x, shard.times, values[sample], vmin=span[0], vmax=span[1], shading="gouraud", rasterized=True)
        label_axes(axes, f"{name}, sample {sample}", "x", "t" if sample == 0 else "")
        axes.label_outer()
        rows += [(name, sample, t, float(v.min()), float(v.max())) for t, v in zip(shard.times, values[sample], strict=True)]
    add_colour_bar(axes, image, f"{name} ({_unit(shard, name)})")
    save_numbers(path, ("field", "sample", "time", "min", "max"), rows)
    return save_figure(figure, path)


def _plot_lines(path: Path, shard: Shard) -> Path:
    """Lines over x for every field of a grid of one axis."""
    x = shard.grid.axis(0).numpy()
    figure = new_figure(3.6 * len(shard.fields) + 0.4, 2.8)
    rows: list[tuple[object, ...]] = []
    for axes, (name, values) in zip(figure.subplots(1, len(shard.fields), squeeze=False)[0], shard.fields.items(), strict=True):
        for sample, line in enumerate(values[:SAMPLES]):
            axes.plot(x, line, label=f"sample {sample}", **line_style(sample))
            rows.append((name, sample, float(line.min()), float(line.max())))
        label_axes(axes, name, "x", f"{name} ({_unit(shard, name)})", legend=axes is figure.axes[0])
    save_numbers(path, ("field", "sample", "min", "max"), rows)
    return save_figure(figure, path)
