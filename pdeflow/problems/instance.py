"""One draw from a problem's distribution: random functions and numbers, and where their values are taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry import Grid, MappedGrid, Mesh

Layout = Grid | MappedGrid | Mesh
Resolution = tuple[int, ...] | float
"""Cells per axis of a grid, or a mesh size h in length units."""


class FieldLike(Protocol):
    """A function on the domain that can be evaluated on a grid and at points."""

    def on(self, grid: Grid) -> Tensor:
        """Return the values on a grid, shape (*grid.shape,), float64."""
        ...

    def at(self, x: Tensor) -> Tensor:
        """Return the values at points (n, d), shape (n,)."""
        ...


@dataclass(frozen=True)
class Function:
    """A field given by a formula.

    Attributes:
        formula: Differentiable function of points (n, d) with values (n,).
    """

    formula: Callable[[Tensor], Tensor]

    def on(self, grid: Grid) -> Tensor:
        """Return the values on a grid, shape (*grid.shape,), float64."""
        x = grid.coordinates()
        return self.formula(x.reshape(-1, x.shape[-1])).reshape(grid.shape)

    def at(self, x: Tensor) -> Tensor:
        """Return the values at points (n, d), shape (n,)."""
        return self.formula(x)


@dataclass(frozen=True)
class StoredField:
    """A field known by its values on one grid or mesh, as read from a file.

    Attributes:
        values: Shape (*grid.shape,) or (points,).
        layout: Where the values live.
    """

    values: Tensor
    layout: Layout

    def on(self, grid: Layout) -> Tensor:
        """Return the values.

        Args:
            grid: Must be the field's own grid or mesh.

        Returns:
            Values, float64.

        Raises:
            UsageError: If another grid is asked for.
        """
        if grid is not self.layout and grid != self.layout:
            raise UsageError(
                f"the field is stored on {name_of(self.layout)}, {name_of(grid)} was asked for; sample it anew"
            )
        return self.values.to(torch.float64)

    def at(self, x: Tensor) -> Tensor:
        """Interpolate linearly on a mesh; refuse on a grid, where a stored field has no value between its points.

        Raises:
            UsageError: On a grid.
        """
        if isinstance(self.layout, Mesh):
            return self.layout.interpolate(self.values.to(torch.float64), x)
        raise UsageError(
            "a stored grid field has no pointwise values; use Problem.sample to draw one that has"
        )


class _Named(dict[str, Any]):
    """A dictionary that answers a missing name with the names it has.

    Args:
        what: What the names stand for.
        items: The content.
    """

    def __init__(self, what: str, items: Mapping[str, Any]) -> None:
        super().__init__(items)
        self.what = what

    def __missing__(self, name: str) -> Any:
        stored = len(self) and all(isinstance(item, StoredField) for item in self.values())
        hint = "; of a stored sample these are the fields named in `inputs`" if stored else ""
        raise UsageError(f"the instance has no {self.what} {name!r}; it has {', '.join(map(str, self)) or 'none'}{hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _Named, (self.what, dict(self))


@dataclass(frozen=True)
class Instance:
    """One draw from a problem's distribution; a name it does not have raises UsageError with the names it has.

    Attributes:
        fields: Random functions by name.
        scalars: Random parameters by name; they are stored with a sample, so they determine what is not a field.
    """

    fields: Mapping[str, FieldLike]
    scalars: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", _Named("field", self.fields))
        object.__setattr__(self, "scalars", _Named("scalar", self.scalars))


def name_of(layout: Layout) -> str:
    """Return words for a grid or mesh."""
    if isinstance(layout, Mesh):
        return f"a mesh of {len(layout.cells)} cells"
    return f"a grid of {' x '.join(map(str, layout.shape))}"


def points_of(layout: Layout) -> Tensor:
    """Return the points of all values, shape (n, d), float64."""
    if isinstance(layout, Mesh):
        return layout.points
    x = layout.coordinates()
    return x.reshape(-1, x.shape[-1])


def values_on(function: FieldLike, layout: Layout) -> Tensor:
    """Evaluate a field on a layout.

    Args:
        function: The field.
        layout: Grid, mapped grid or mesh.

    Returns:
        Values, shape (*grid.shape,) or (points,), float64.
    """
    if isinstance(layout, Grid) or isinstance(function, StoredField):
        return function.on(layout)  # type: ignore[arg-type]
    values = function.at(points_of(layout))
    return values if isinstance(layout, Mesh) else values.reshape(layout.shape)


@dataclass(frozen=True)
class At:
    """The fields of an instance at given points: `at("a")` gives values, `at.x` the points.

    Attributes:
        instance: The draw.
        where: A layout, or points (n, d).
    """

    instance: Instance
    where: Layout | Tensor

    @property
    def x(self) -> Tensor:
        """The points, shape (n, d), or (*grid.shape, d) on a grid."""
        if isinstance(self.where, Tensor):
            return self.where
        return self.where.points if isinstance(self.where, Mesh) else self.where.coordinates()

    def __call__(self, name: str) -> Tensor:
        """Return the values of a field, shape (n,) or (*grid.shape,)."""
        function = self.instance.fields[name]
        return function.at(self.where) if isinstance(self.where, Tensor) else values_on(function, self.where)
