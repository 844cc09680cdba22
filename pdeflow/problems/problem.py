"""A PDE together with the distribution of its data: what every method of the package starts from."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry import Box, Grid
from pdeflow.linalg import LinearSystem


class FieldLike(Protocol):
    """A function on the domain that can be evaluated on a grid."""

    def on(self, grid: Grid) -> Tensor:
        """Return the values on a grid, shape (*grid.shape,), float64."""
        ...

    def at(self, x: Tensor) -> Tensor:
        """Return the values at points (n, d), shape (n,)."""
        ...


@dataclass(frozen=True)
class GridField:
    """A field known by its values on one grid, as read from a file.

    Attributes:
        values: Shape (*grid.shape,).
        grid: Where the values live.
    """

    values: Tensor
    grid: Grid

    def on(self, grid: Grid) -> Tensor:
        """Return the values.

        Args:
            grid: Must be the field's own grid.

        Returns:
            Values, shape (*grid.shape,), float64.

        Raises:
            UsageError: If another grid is asked for.
        """
        if grid != self.grid:
            raise UsageError(
                f"the field is stored on a {self.grid.shape} grid, {grid.shape} was asked for; sample it anew"
            )
        return self.values.to(torch.float64)

    def at(self, x: Tensor) -> Tensor:
        """Refuse: a stored field has no value between its grid points.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            "a stored grid field has no pointwise values; use Problem.sample to draw one that has"
        )


@dataclass(frozen=True)
class Instance:
    """One draw from a problem's distribution.

    Attributes:
        fields: Random functions by name.
        scalars: Random parameters by name.
    """

    fields: Mapping[str, FieldLike]
    scalars: Mapping[str, float] = field(default_factory=dict)


class Problem:
    """A PDE with its domain, its data distribution and its discrete system; subclasses are frozen dataclasses.

    Attributes:
        inputs: Names of the fields that a network sees.
        outputs: Names of the fields that it predicts.
        equation: The PDE in one line of text.
    """

    inputs: ClassVar[tuple[str, ...]] = ("a",)
    outputs: ClassVar[tuple[str, ...]] = ("u",)
    equation: ClassVar[str] = ""

    @property
    def domain(self) -> Box:
        """Where the PDE holds."""
        raise TypeError(f"{type(self).__name__} must define `domain`")

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw one instance.

        Args:
            generator: Source of randomness; equal states give equal instances.
        """
        raise TypeError(f"{type(self).__name__} must define `sample`")

    def system(self, instance: Instance, grid: Grid) -> LinearSystem:
        """Assemble the discrete equations in integrated form.

        Args:
            instance: A draw, or fields read from a file.
            grid: Grid of the unknowns.
        """
        raise TypeError(f"{type(self).__name__} must define `system`")

    def settings(self) -> dict[str, Any]:
        """Return {"class_path", "init_args"}, from which `problem_from` builds an equal problem."""
        kind = type(self)
        public = importlib.import_module("pdeflow.problems")
        module = "pdeflow.problems" if getattr(public, kind.__name__, None) is kind else kind.__module__
        arguments = {item.name: getattr(self, item.name) for item in fields(self) if item.init}  # type: ignore[arg-type]
        return {"class_path": f"{module}.{kind.__name__}", "init_args": arguments}

    def grid(self, shape: tuple[int, ...]) -> Grid:
        """Return the cell-centred grid of the domain with this shape."""
        return self.domain.grid(shape)

    def exact(self, instance: Instance, grid: Grid) -> Tensor | None:
        """Return the exact solution on a grid, shape (*grid.shape,), or None where there is no formula."""
        return None

    def stored_instance(
        self, fields: Mapping[str, Tensor], scalars: Mapping[str, float], grid: Grid
    ) -> Instance:
        """Rebuild an instance from stored values.

        Args:
            fields: Values by name, each (*grid.shape,).
            scalars: Parameters by name.
            grid: Grid of the values.

        Returns:
            The instance; its fields answer on this grid only.
        """
        return Instance({name: GridField(values, grid) for name, values in fields.items()}, dict(scalars))


def problem_from(settings: Mapping[str, Any]) -> Problem:
    """Build a problem from what `Problem.settings` returned.

    Args:
        settings: {"class_path", "init_args"}.

    Returns:
        The problem.

    Raises:
        DataError: If the class is not an importable subclass of Problem, or its arguments do not fit.
    """
    path = str(settings.get("class_path"))
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
        if not (isinstance(kind, type) and issubclass(kind, Problem)):
            raise TypeError("it is not a subclass of pdeflow.problems.Problem")
        return kind(**(settings.get("init_args") or {}))
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"the problem {path} cannot be built ({error}); make its module importable"
        ) from error
