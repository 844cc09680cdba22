"""Collocation points that are drawn anew every so many steps, uniformly or where the residual is large."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch

from pdeflow import seeds
from pdeflow.errors import UsageError
from pdeflow.geometry.domain.domain import Domain
from pdeflow.geometry.domain.draw import Method
from pdeflow.geometry.sampling.adaptive import Adaptive, Residual
from pdeflow.geometry.sampling.point_set import PointSet
from pdeflow.geometry.sampling.points import SpaceTime, boundary_points, interior_points

PARTS = ("interior", "boundary", "initial")


@dataclass
class Sampler:
    """Point sets of a training run; those of a round depend on (seed, round) and on the residual only.

    Attributes:
        domain: A domain, or a space-time domain.
        counts: Number of points by part: "interior", "boundary", and "initial" in space-time.
        method: "sobol" or "random".
        resample_every: Steps per round; 0 keeps the first points.
        adaptive: RAD, R3 or the like for the interior; None draws uniformly.
        seed: Root seed.
    """

    domain: Domain | SpaceTime
    counts: Mapping[str, int]
    method: Method = "sobol"
    resample_every: int = 1000
    adaptive: Adaptive | None = None
    seed: int = 0
    _last: tuple[int, dict[str, PointSet]] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        known = PARTS if isinstance(self.domain, SpaceTime) else PARTS[:2]
        unknown = [name for name in self.counts if name not in known]
        if unknown or not self.counts:
            raise UsageError(
                f"counts must name {', '.join(known)}, got {', '.join(self.counts) or 'nothing'}"
            )
        if self.resample_every < 0:
            raise UsageError(f"resample_every must be 0 or more steps, got {self.resample_every}")

    def __call__(self, step: int, residual: Residual | None = None) -> dict[str, PointSet]:
        """Return the point sets of a step; the residual is evaluated on the first step of a round only.

        Args:
            step: Number of the training step, from 0.
            residual: Residual at coordinates; needed by an adaptive sampler from its second round on.

        Returns:
            A point set per part.

        Raises:
            UsageError: If an adaptive sampler gets no residual after the first round.
        """
        turn = step // self.resample_every if self.resample_every else 0
        if self._last is None or self._last[0] != turn:
            self._last = turn, self._draw(turn, residual)
        return dict(self._last[1])

    def _draw(self, turn: int, residual: Residual | None) -> dict[str, PointSet]:
        generator = seeds.generator(self.seed, seeds.GEOMETRY, turn)
        sets = {name: self._source(name, generator) for name in PARTS if name in self.counts}
        drawn = {name: draw(self.counts[name]) for name, draw in sets.items() if name != "interior"}
        if "interior" not in sets:
            return drawn
        draw, count = sets["interior"], self.counts["interior"]
        if self.adaptive is None or (turn == 0 and residual is None):
            return {"interior": draw(count), **drawn}
        if residual is None:
            raise UsageError(
                f"round {turn} of an adaptive sampler needs the residual; pass it: sampler(step, residual)"
            )
        previous = self._last[1]["interior"] if self._last is not None else None
        return {"interior": self.adaptive(draw, count, residual, previous, generator), **drawn}

    def _source(self, name: str, generator: torch.Generator) -> Callable[[int], PointSet]:
        if isinstance(self.domain, SpaceTime):
            draw: Callable[..., PointSet] = getattr(self.domain, f"{name}_points")
        else:
            draw = partial(interior_points if name == "interior" else boundary_points, self.domain)
        return partial(draw, method=self.method, generator=generator)
