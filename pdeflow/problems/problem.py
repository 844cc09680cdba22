"""A PDE together with the distribution of its data: what every method of the package starts from."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry import Domain, Grid, MappedGrid, Mesh
from pdeflow.linalg import LinearSystem, Solution
from pdeflow.linalg.obstacles import Obstacles
from pdeflow.problems.instance import Instance, Layout, Resolution, StoredField, values_on


@dataclass(frozen=True)
class Answer:
    """The solution of one instance.

    Attributes:
        fields: Outputs by name, shape (*grid.shape,) or (points,); evolution problems put the frames first.
        residual: The number that `Problem.verdict` describes, dimensionless.
        iterations: Krylov, Newton or time steps.
        fallback: Whether the chosen solver failed and another one answered.
    """

    fields: dict[str, np.ndarray]
    residual: float
    iterations: int
    fallback: bool = False


class Problem:
    """A PDE with its domain, its data distribution and its discrete system; subclasses are frozen dataclasses.

    Attributes:
        inputs: Names of the fields that a network sees.
        outputs: Names of the fields that it predicts.
        equation: The PDE in one line of text, which commands print and datasets keep; the name of the class unless it is written.
        verdict: What the number stored with each sample says.
        resolution: A small resolution at which the problem makes sense: cells per axis, or a mesh size h.
        rtol: Tolerance of the verdict where a user gives none.
        linear: Whether `system` gives the discrete equations; others define `compute`.
        algorithm: How a problem that is not linear is solved, in a few words.
        counted: What the iterations stored with each sample are.
    """

    inputs: ClassVar[tuple[str, ...]] = ("a",)
    outputs: ClassVar[tuple[str, ...]] = ("u",)
    equation: ClassVar[str] = "Problem"
    verdict: ClassVar[str] = "relative residual of the linear system"
    resolution: ClassVar[Resolution] = (32, 32)
    rtol: ClassVar[float] = 1e-8
    linear: ClassVar[bool] = True
    algorithm: ClassVar[str] = "the problem's own scheme"
    counted: ClassVar[str] = "iterations"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "equation" not in cls.__dict__ and cls.equation in {base.__name__ for base in cls.__mro__[1:]}:
            cls.equation = cls.__name__

    @property
    def domain(self) -> Domain:
        """Where the PDE holds; for a random shape, its mean shape."""
        raise TypeError(f"{type(self).__name__} must define `domain`")

    @property
    def times(self) -> tuple[float, ...]:
        """Times of the stored frames; one for a steady problem."""
        return (0.0,)

    def sample(self, generator: torch.Generator) -> Instance:
        """Draw one instance.

        Args:
            generator: Source of randomness; equal states give equal instances.
        """
        raise TypeError(f"{type(self).__name__} must define `sample`")

    def layout(self, instance: Instance, resolution: Resolution) -> Layout:
        """Return the grid or mesh on which an instance is discretized.

        Args:
            instance: A draw; a random shape has a layout of its own.
            resolution: Cells per axis of a grid, or a mesh size h in length units.

        Raises:
            UsageError: If the problem has no discretization of this kind.
        """
        if isinstance(resolution, int | float):
            raise UsageError(
                f"{type(self).__name__} is discretized on a grid; give cells per axis, e.g. grid: {list(self.cells)}, not h"
            )
        return self.grid(tuple(resolution))

    @property
    def cells(self) -> tuple[int, ...]:
        """The default resolution of a grid."""
        return self.resolution if isinstance(self.resolution, tuple) else (32,) * self.domain.dim

    def grid(self, shape: tuple[int, ...]) -> Grid:
        """Return the cell-centred grid of a box domain with this shape."""
        if not hasattr(self.domain, "grid"):
            h = self.resolution if isinstance(self.resolution, float) else 0.1
            raise UsageError(f"{type(self).__name__} lives on a mesh; give a mesh size, e.g. h: {h}, not cells per axis {list(shape)}")
        return self.domain.grid(shape)

    def system(self, instance: Instance, layout: Layout) -> LinearSystem:
        """Assemble the discrete equations in integrated form.

        Args:
            instance: A draw, or fields read from a file.
            layout: Grid or mesh of the unknowns.
        """
        raise TypeError(f"{type(self).__name__} must define `system`")

    def obstacles(self, instance: Instance, grid: Grid) -> Obstacles | None:
        """Return which cells of a grid are in the domain and what holds around the others; None where all are.

        Args:
            instance: A draw, or fields read from a file.
            grid: Cell-centred grid of the box.
        """
        return None

    def unpack(self, x: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
        """Turn a vector of unknowns into the output fields.

        Args:
            x: Solution of the system, shape (n,).
            layout: Where it was assembled.

        Returns:
            Values by output name; a complex solution is divided over two outputs, real and imaginary part.
        """
        shape = (len(layout.points),) if isinstance(layout, Mesh) else layout.shape
        u = x[: int(np.prod(shape))].reshape(shape)
        if len(self.outputs) == 1:
            if np.iscomplexobj(u):
                raise UsageError(f"{type(self).__name__} has a complex solution; name two outputs, e.g. ('u_re', 'u_im')")
            return {self.outputs[0]: u}
        return dict(zip(self.outputs, (u.real.copy(), u.imag.copy()), strict=True))

    def input_values(self, instance: Instance, layout: Layout) -> dict[str, np.ndarray]:
        """Return the inputs that are stored, by name, in the shape of the outputs without frames."""
        return {name: values_on(instance.fields[name], layout).numpy() for name in self.inputs}

    def compute(
        self, instance: Instance, layout: Layout, solve: Callable[[LinearSystem], Solution]
    ) -> Answer:
        """Solve one instance.

        Args:
            instance: A draw.
            layout: Where it is discretized.
            solve: Solver of linear systems.

        Returns:
            The output fields with their verdict.
        """
        solution = solve(self.system(instance, layout))
        return Answer(self.unpack(solution.x, layout), solution.residual, solution.iterations)

    def residual(self, u: Callable[[Tensor], Tensor], x: Tensor, instance: Instance) -> Tensor:
        """Evaluate the strong residual at points by automatic differentiation.

        Args:
            u: Differentiable function of points (n, d) with values (n,) or (n, C); time is the last coordinate.
            x: Points.
            instance: A draw.

        Returns:
            Residual, shape (n,) or (n, C).
        """
        raise TypeError(f"{type(self).__name__} must define `residual`")

    def exact(self, x: Tensor, instance: Instance) -> Tensor | None:
        """Return the exact solution at points (..., d), shape (...,) or (..., C), or None where there is no formula."""
        return None

    def settings(self) -> dict[str, Any]:
        """Return {"class_path", "init_args"}, from which `problem_from` builds an equal problem."""
        kind = type(self)
        public = importlib.import_module("pdeflow.problems")
        module = "pdeflow.problems" if getattr(public, kind.__name__, None) is kind else kind.__module__
        arguments = {item.name: getattr(self, item.name) for item in fields(self) if item.init}  # type: ignore[arg-type]
        return {"class_path": f"{module}.{kind.__name__}", "init_args": arguments}

    def stored_instance(
        self, fields: Mapping[str, Tensor], scalars: Mapping[str, float], layout: Grid | MappedGrid | Mesh
    ) -> Instance:
        """Rebuild an instance from stored values.

        Args:
            fields: Values by name, each (*grid.shape,) or (points,).
            scalars: Parameters by name.
            layout: Where the values live.

        Returns:
            The instance; its fields answer on this layout only.
        """
        return Instance({name: StoredField(values, layout) for name, values in fields.items()}, dict(scalars))

    def stored_system(
        self, fields: Mapping[str, Tensor], scalars: Mapping[str, float], layout: Grid | MappedGrid | Mesh
    ) -> LinearSystem:
        """Assemble the system of a stored sample.

        Args:
            fields: Inputs by name, each (*grid.shape,) or (points,).
            scalars: Parameters by name.
            layout: Where the values live.

        Raises:
            UsageError: If the problem is not linear, a value does not fit, or the equation needs a field or number that was not
                stored, or a field between its points.
        """
        if not self.linear:
            raise UsageError(f"{type(self).__name__} is not one linear system ({self.algorithm})")
        return self.system(self.stored_instance(fields, scalars, layout), layout)


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
