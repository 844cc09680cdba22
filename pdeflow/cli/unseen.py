"""Counts of `pdeflow solve --unseen`: iterations of a trained cycle on instances that neither training nor the table saw."""

from __future__ import annotations

from typing import Any

import numpy as np

from pdeflow.cli.progress import progress
from pdeflow.errors import UsageError


def unseen_grids(settings: Any, dimension: int) -> list[list[int]]:
    """Return the grids that --unseen_grids names, or two of the system's dimension.

    Args:
        settings: Settings of the command.
        dimension: Number of axes.

    Returns:
        Cells per axis of every grid.
    """
    if settings.unseen_grids is not None:
        return list(settings.unseen_grids)
    return [[n] * dimension for n in ((64, 128) if dimension == 2 else (16, 32))]


def check_unseen(settings: Any, preconditioner: Any, system: Any) -> None:
    """Refuse counts on unseen instances that cannot be made, before anything is solved.

    Args:
        settings: Settings of the command.
        preconditioner: Name, or trained network.
        system: The system that is solved first; on a grid, if the network is a cycle.

    Raises:
        UsageError: If the network has no untrained form that solves, there is no comparison the counts belong to, or a grid
            has another number of axes than the system, or the cycle cannot coarsen it.
    """
    import torch

    if not hasattr(preconditioner, "untrained"):
        name = preconditioner if isinstance(preconditioner, str) else type(preconditioner).__name__
        raise UsageError(f"--unseen compares a trained cycle with the untrained one, and {name} has none that solves; leave it out")
    if not (settings.compare or settings.run):
        raise UsageError("--unseen belongs to a comparison; add --compare all, or --run FOLDER")
    dimension = system.grid.ndim
    for shape in unseen_grids(settings, dimension):
        if len(shape) != dimension:
            example = str([[n] * dimension for n in (16, 32)]).replace(" ", "")
            raise UsageError(f"--unseen_grids names {shape} of {len(shape)} axes, and the system has {dimension}; write, e.g., --unseen_grids={example}")
        try:
            preconditioner.on(torch.ones(1, 1, *shape), settings.problem.grid(tuple(shape)).spacing())
        except ValueError as error:
            raise UsageError(f"--unseen_grids names {shape}: {error}") from error


def unseen_counts(settings: Any, learned: Any, quiet: bool) -> dict[str, Any]:
    """Count iterations to the tolerance on instances that neither training nor the table saw.

    Args:
        settings: Settings of the command.
        learned: Trained network.
        quiet: No progress.

    Returns:
        Counts by grid; every solve is verified, one that fails counts as infinite, and `ended` says why.
    """
    from pdeflow import seeds
    from pdeflow.linalg import solve
    from pdeflow.linalg.iteration import default_maxiter

    shapes = unseen_grids(settings, learned.dim)
    methods = {"untrained": learned.untrained(), "trained": learned, "amg": "amg", "cg": "none"}
    grids = []
    with progress("unseen instances", quiet) as display:
        for g, shape in enumerate(shapes):
            counts: dict[str, list[float]] = {name: [] for name in methods}
            ended: dict[str, str] = {}
            for i in range(settings.unseen):
                generator = seeds.generator(settings.seed_everything, seeds.SOLVE, settings.instance + 1 + i)
                instance = settings.problem.sample(generator)
                system = settings.problem.system(instance, settings.problem.layout(instance, tuple(shape)))
                for name, M in methods.items():
                    method = "fcg" if name.endswith("trained") else "cg"
                    found = solve(system, method=method, preconditioner=M, rtol=settings.rtol, maxiter=settings.maxiter, guard="none")
                    counts[name].append(found.iterations if found.converged else float("inf"))
                    if not found.converged:
                        ended[name] = found.reason.name
                if display is not None:
                    display.update(g * settings.unseen + i + 1, len(shapes) * settings.unseen)
            means = {f"{name}_mean": float(np.mean(values)) for name, values in counts.items()}
            pairs = zip(counts["trained"], counts["untrained"], strict=True)
            ratios = [after / before for after, before in pairs if np.isfinite(after) or np.isfinite(before)]
            cap = default_maxiter(system.n) if settings.maxiter is None else settings.maxiter
            entry = {"grid": list(shape), "count": settings.unseen, **means, "trained_max_ratio": max(ratios, default=None)}
            grids.append(entry | {"cap": cap, "ended": ended})
    return {"coefficients": settings.unseen, "grids": grids}
