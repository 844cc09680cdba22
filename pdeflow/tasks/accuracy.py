"""How good predictions are, sample by sample: errors in three norms, PDE residual, and an estimate of the error.

The estimate sqrt(rᵀ B r), with B one algebraic multigrid cycle, needs no exact solution: B ≈ A⁻¹ and
‖e‖_A² = rᵀ A⁻¹ r for A e = r.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from pdeflow.errors import DataError, UsageError
from pdeflow.geometry import Grid
from pdeflow.linalg import LinearSystem
from pdeflow.linalg.error_estimate import check_energy_norm, error_norm
from pdeflow.losses import relative_h1, relative_l2
from pdeflow.problems import Problem


def field_errors(prediction: Tensor, u: Tensor, grid: Grid) -> dict[str, Tensor]:
    """Compare predicted with true fields in float64.

    Args:
        prediction: Predicted fields, shape (samples, channels, *grid.shape).
        u: True fields, same shape, no sample of which is zero.
        grid: Gives side lengths, location and periodicity.

    Returns:
        "rel_l2" ‖p - u‖ / ‖u‖ and "rel_h1" (with gradients, one over the length unit), dimensionless, and
        "max_error" max |p - u| in the units of u; each of shape (samples,).

    Raises:
        ValueError: If shapes differ, a true field is zero or the grid has fewer than 3 points per axis.
    """
    p, v = prediction.double(), u.double()
    extent = [high - low for low, high in grid.bounds]
    return {
        "rel_l2": relative_l2(p, v),
        "rel_h1": relative_h1(p, v, extent, periodic=all(grid.periodic), location=grid.location),
        "max_error": (p - v).abs().flatten(1).amax(1),
    }


def frame_errors(prediction: Tensor, u: Tensor, frames: int) -> Tensor:
    """Compare predicted with true fields of an evolution at every time for itself, in float64.

    Args:
        prediction: Predicted fields, shape (samples, outputs * frames, *grid.shape), the frames of each output in a row.
        u: True fields, same shape.
        frames: Number of times.

    Returns:
        ‖p(t) - u(t)‖ / ‖u(t)‖ in L2 over all outputs, dimensionless, shape (samples, frames); not a number where u(t) = 0.

    Raises:
        DataError: If the shapes differ, or the channels are not whole outputs.
    """
    if prediction.shape != u.shape or u.shape[1] % frames:
        raise DataError(
            f"expected predictions and solutions of one shape with {frames} frames for every output, got "
            f"{tuple(prediction.shape)} and {tuple(u.shape)}"
        )
    p, v = (w.double().unflatten(1, (-1, frames)).transpose(1, 2).flatten(2) for w in (prediction, u))
    size = v.norm(dim=2)
    return torch.where(size > 0, (p - v).norm(dim=2) / size, torch.nan)


def system_errors(
    system: LinearSystem, u: np.ndarray, prediction: np.ndarray, estimate: Callable[..., float]
) -> dict[str, float]:
    """Measure one prediction against the discrete equations that u solves.

    Args:
        system: Symmetric positive definite A u = b.
        u: Solution, shape (n,).
        prediction: Candidate, shape (n,).
        estimate: Function (system, x) that estimates ‖A⁻¹b - x‖_A without knowing the solution.

    Returns:
        "residual" ‖b - A p‖₂ / ‖b‖₂; "energy_error" ‖u - p‖_A / ‖u‖_A; "estimated_error", the estimate over
        ‖u‖_A; "effectivity", estimate over true error (1 when both are zero). All dimensionless.
    """
    e = u - prediction
    size, error = (np.sqrt(max(float(v @ (system.A @ v)), 0.0)) for v in (u, e))
    estimated = float(estimate(system, prediction))
    residual = np.linalg.norm(system.b - system.A @ prediction) / np.linalg.norm(system.b)
    effectivity = estimated / error if error else 1.0 if not estimated else np.inf
    return {
        "residual": float(residual),
        "energy_error": float(error / size),
        "estimated_error": estimated / size,
        "effectivity": effectivity,
    }


def accuracy(
    problem: Problem | None, grid: Grid, a: Tensor, u: Tensor, prediction: Tensor, scalars: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Measure predictions sample by sample.

    Args:
        problem: Gives the discrete system of a sample; None where the data have no known equation.
        grid: Grid of the fields.
        a: Inputs, one channel per name of problem.inputs, shape (samples, C_in, *grid.shape).
        u: Solutions, shape (samples, C_out, *grid.shape).
        prediction: Predicted solutions, shape of u.
        scalars: Random numbers of the samples by name, shape (samples,), where the equation has some.

    Returns:
        Arrays of shape (samples,), float64: those of field_errors and, where `no_estimate` has no objection, those of system_errors.

    Raises:
        DataError: If the shapes do not fit each other, the grid or the problem's channels.
        ValueError: If a true field is zero.
    """
    check_fields(problem, grid, a, u, prediction)
    columns = {name: values.cpu().numpy() for name, values in field_errors(prediction, u, grid).items()}
    if problem is None or no_estimate(problem, grid, a, scalars):
        return columns
    flat_u, flat_p = (w.detach().cpu().double().flatten(1).numpy() for w in (u, prediction))
    rows = []
    for i, fields in enumerate(a.detach().cpu().double()):
        system = problem.stored_system(*stored_values(problem, fields, scalars, i), grid)
        rows.append(system_errors(system, flat_u[i], flat_p[i], error_norm))
    return columns | {name: np.array([row[name] for row in rows]) for name in rows[0]}


def no_estimate(problem: Problem | None, grid: Grid, a: Tensor, scalars: Mapping[str, np.ndarray] | None = None) -> str:
    """Say why predictions of some data get no error estimate.

    Args:
        problem: Gives the discrete system of a sample; None where the data have no known equation.
        grid: Grid of the fields.
        a: Inputs, shape (samples, C_in, *grid.shape).
        scalars: Random numbers of the samples by name, shape (samples,).

    Returns:
        The reason, from the first sample, or "" where there is an estimate.
    """
    if problem is None:
        return "the data were imported and say nothing about their equation"
    try:
        check_energy_norm(problem.stored_system(*stored_values(problem, a[0].detach().cpu().double(), scalars, 0), grid))
    except UsageError as error:
        return str(error)
    return ""


def stored_values(
    problem: Problem, fields: Tensor, scalars: Mapping[str, np.ndarray] | None, sample: int
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Return the inputs of one sample by name, and its numbers.

    Args:
        problem: Names the inputs.
        fields: Inputs, shape (C_in, *grid.shape).
        scalars: Random numbers of all samples by name, shape (samples,).
        sample: Which one.
    """
    numbers = {name: float(values[sample]) for name, values in (scalars or {}).items()}
    return dict(zip(problem.inputs, fields, strict=False)), numbers


def check_fields(problem: Problem | None, grid: Grid, a: Tensor, u: Tensor, prediction: Tensor) -> None:
    """Check that inputs, solutions and predictions belong together.

    Args:
        problem: Gives the number of channels, where there is one.
        grid: Grid of the fields.
        a: Inputs.
        u: Solutions.
        prediction: Predictions.

    Raises:
        DataError: With the shapes.
    """
    shapes = f"a {tuple(a.shape)}, u {tuple(u.shape)}, prediction {tuple(prediction.shape)}"
    if u.shape != prediction.shape or len(a) != len(u) or not len(u):
        raise DataError(f"expected as many inputs as solutions and predictions of u's shape, got {shapes}")
    if tuple(a.shape[2:]) != grid.shape or tuple(u.shape[2:]) != grid.shape:
        raise DataError(f"the fields must live on the grid {grid.shape}, got {shapes}")
    if problem is not None and u.shape[1] != len(problem.outputs) * len(problem.times):
        raise DataError(
            f"{type(problem).__name__} has the outputs {problem.outputs} at {len(problem.times)} times, a channel each, got {shapes}"
        )
    if problem is not None and problem.linear and a.shape[1] != len(problem.inputs):
        raise DataError(f"{type(problem).__name__} has the inputs {problem.inputs}, a channel each, got {shapes}")
