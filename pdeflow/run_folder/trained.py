"""What `pdeflow.load` returns: a trained network with its problem, in physical units, with an error estimate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pdeflow.errors import UsageError
from pdeflow.linalg.error_estimate import error_field
from pdeflow.problems import Problem
from pdeflow.problems.problem import problem_from
from pdeflow.run_folder.export import Stages, read_network


@dataclass(frozen=True)
class Trained:
    """A network read from a run folder.

    Attributes:
        network: The module, in evaluation mode; an operator takes and returns physical units.
        settings: What the export says: network, problem, grid, ranges of the inputs, metrics.
        problem: The problem it was trained on, or None for imported data.
        stage: Folder it was read from.
    """

    network: nn.Module
    settings: dict[str, Any]
    problem: Problem | None
    stage: Path

    def predict(
        self, a: Any, error: bool = False, batch_size: int = 64, scalars: Mapping[str, Any] | None = None
    ) -> Any:
        """Predict the solution for one or several input fields.

        Args:
            a: Inputs in physical units, numpy or torch: (*grid,), (N, *grid) or (N, channels, *grid).
            error: Also estimate the field of the algebraic error u - u_h against the discrete problem, by three AMG-CG
                steps on the prediction's residual.
            batch_size: Inputs at a time.
            scalars: With `error`, the random numbers of the equation that are no field, by name, each one number or (N,).

        Returns:
            u of the kind of `a`, or (u, estimated error) of one shape. A network with one output channel returns the layout of `a`;
            with several, such as the frames of an evolution, they are the axis before the grid: (channels, *grid) for (*grid,),
            (N, channels, *grid) otherwise.

        Raises:
            UsageError: If the shape does not fit the network, a value is not finite, or an error is asked for where inputs and
                scalars do not determine a symmetric positive definite system.
        """
        fields = torch.as_tensor(np.asarray(a) if not isinstance(a, Tensor) else a)
        batch = self._as_batch(fields)
        self._check_finite(batch)
        self._warn_outside(batch)
        try:
            with torch.no_grad():
                parts = [self.network(part.float()) for part in batch.split(batch_size)]
        except ValueError as error:
            raise UsageError(
                f"{type(self.network).__name__} cannot take inputs (N, channels, *grid) of shape {tuple(batch.shape)}: {error}"
            ) from error
        u = torch.cat(parts)
        results = [_restore(field, fields) for field in ([u, self._estimate(batch, u, scalars or {})] if error else [u])]
        found = results if isinstance(a, Tensor) else [field.numpy() for field in results]
        return tuple(found) if error else found[0]

    def setup(self, system: Any) -> Any:
        """Build the preconditioner of one linear system from the trained weights, for `pdeflow.solve(…, M=…)`.

        Args:
            system: LinearSystem on a grid, with its coefficient.

        Returns:
            M with M @ r ≈ A⁻¹ r.

        Raises:
            UsageError: If the network is not a preconditioner.
        """
        if not hasattr(self.network, "setup"):
            raise UsageError(
                f"{type(self.network).__name__} is an operator, not a preconditioner; use predict"
            )
        network: Any = self.network
        return network.setup(system)

    def summary(self) -> str:
        """Return a few lines about network, problem and measured accuracy."""
        count = sum(p.numel() for p in self.network.parameters())
        lines = [f"{self.settings['network']['class_path']}, {count:,} real parameters"]
        lines += [f"problem  {self.problem.equation}"] if self.problem is not None else []
        most = self.settings.get("most_iterations")
        lines += [metric_text(name, value, most) for name, value in (self.settings.get("metrics") or {}).items()]
        return "\n".join([*lines, *iteration_lines(self.settings.get("iteration_card"))])

    def _as_batch(self, fields: Tensor) -> Tensor:
        dimension = len(self.settings.get("grid") or (0, 0))
        lead = fields.ndim - dimension
        if lead not in (0, 1, 2):
            raise UsageError(
                f"expected inputs (*grid,), (N, *grid) or (N, channels, *grid) with {dimension} grid axes, got shape "
                f"{tuple(fields.shape)}"
            )
        return fields[None, None] if lead == 0 else fields[:, None] if lead == 1 else fields

    def _check_finite(self, batch: Tensor) -> None:
        bad = (~batch.isfinite()).flatten(2).sum((0, 2)).tolist()
        names = self.problem.inputs if self.problem is not None else ()
        for k, count in enumerate(bad):
            if count:
                name = f"input {names[k]}" if k < len(names) else f"channel {k}"
                raise UsageError(f"{name} must be finite, found {count} values that are NaN or infinite; fill or leave out these samples")

    def _warn_outside(self, batch: Tensor) -> None:
        known = self.settings.get("input_ranges") or {}
        outside = []
        for values, (name, (low, high)) in zip(batch.unbind(1), known.items(), strict=False):
            found = float(values.min()), float(values.max())
            excess = [f"{low - found[0]:.3g} below"] * (found[0] < low) + [f"{found[1] - high:.3g} above"] * (found[1] > high)
            if excess:
                came, seen = (f"[{ends[0]:.3g}, {ends[1]:.3g}]" for ends in (found, (low, high)))
                outside.append(f"{name} is in {came}, the training range is {seen}: {', '.join(excess)}")
        if outside:
            advice = "predictions are extrapolations; train on data that reach as far, or verify them by a solve"
            warnings.warn(f"inputs leave the training range: {'; '.join(outside)}; {advice}", stacklevel=3)

    def _estimate(self, batch: Tensor, u: Tensor, scalars: Mapping[str, Any]) -> Tensor:
        if self.problem is None:
            raise UsageError(
                "an error estimate needs the problem, but the network was trained on imported data"
            )
        grid = self.problem.grid(tuple(batch.shape[2:]))
        errors = []
        numbers = {name: np.broadcast_to(np.asarray(values, dtype=float), len(batch)) for name, values in scalars.items()}
        for i, (a, prediction) in enumerate(zip(batch, u, strict=True)):
            fields = dict(zip(self.problem.inputs, a.double(), strict=False))
            try:
                system = self.problem.stored_system(fields, {name: float(values[i]) for name, values in numbers.items()}, grid)
                e = error_field(system, prediction.double().reshape(-1).numpy())
            except UsageError as error:
                raise UsageError(
                    f"no error estimate of {type(self.problem).__name__}: {error}; mend the inputs, give missing numbers as scalars={{name: value}}, "
                    "or predict without error=True"
                ) from error
            errors.append(-torch.from_numpy(np.asarray(e)).reshape(1, *grid.shape))  # e = u_h - u
        return torch.stack(errors)


def iteration_lines(card: Mapping[str, Any] | None) -> list[str]:
    """Put an iteration card into words, a line for every grid.

    Args:
        card: {"rtol", "most_iterations", "grids": [{"grid", "network", "untrained", "cg", "jacobi", "ic", "amg"}]}, the most iterations on unseen systems,
            "most_iterations" where one did not converge; None where nothing was counted.

    Returns:
        The network's count, in parentheses its count before the training and those of the classical methods on the same systems, and
        a remark where the training made it worse.
    """
    if not card:
        return []
    lines, most = [], card.get("most_iterations") or math.inf
    for row in card["grids"]:
        others = [f"untrained {_count(row['untrained'], most)}"] if row.get("untrained") is not None else []
        others += [f"{name} {row[name]}" for name in ("cg", "jacobi", "ic", "amg") if row.get(name) is not None]
        found = "not counted" if row["network"] is None else _count(row["network"], most)
        found += ", not converged" if (row["network"] or 0) >= most else ""
        beside = f" ({', '.join(others)})" if others else ""
        lines.append(f"iterations to {card['rtol']:.0e} on {'x'.join(map(str, row['grid']))}: {found}{beside}")
    if any((row["network"] or 0) > (row.get("untrained") or math.inf) for row in card["grids"]):
        lines.append("the training made it worse: train longer (trainer.max_steps), or use the network untrained")
    return lines


def _count(iterations: float, most: float) -> str:
    return f"{iterations:.1f}" if iterations < most else f"more than {most:g}"


def metric_text(name: str, value: float, most: float | None = None) -> str:
    """Return "NAME VALUE"; of a count of iterations that stands for no convergence, say so.

    Args:
        name: Name of a metric.
        value: Its value.
        most: What a solve that does not converge counts; None where no iterations are counted.
    """
    capped = most is not None and name.endswith("iterations") and value >= most
    return f"{name} more than {most:g} (not converged)" if capped else f"{name} {value:.3g}"


def load(path: str | Path, *, kind: str | None = None, trust: Sequence[str] = ()) -> Trained:
    """Read a trained network from a run folder or from one of its stages.

    Args:
        path: RUN or RUN/STAGE; a run with one operator needs no stage.
        kind: "operator" or "preconditioner", to choose among several.
        trust: Further prefixes of class paths that may be instantiated.

    Returns:
        The network, ready to predict.

    Raises:
        UsageError: If the folder does not exist or several networks fit.
        DataError: If there is no network, or it is damaged.
    """
    found = Stages.find(path, kind)
    folder = found.run / found.stage
    network, settings = read_network(folder / "export", trust)
    problem = problem_from(settings["problem"]) if settings.get("problem") else None
    return Trained(network, settings, problem, folder)


def _restore(u: Tensor, like: Tensor) -> Tensor:
    """Drop the axes that were added to make a batch; several output channels keep theirs."""
    if u.ndim == like.ndim:
        return u
    fields = u[:, 0] if u.shape[1] == 1 else u
    return fields[0] if u.ndim - like.ndim == 2 else fields
