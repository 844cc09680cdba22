"""Points with quadrature weights: Σ w f(x) approximates the integral of f over what the points were drawn from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from pdeflow.errors import UsageError


@dataclass(frozen=True, eq=False)
class PointSet:
    """Points of a domain, of its boundary, or of either over a time interval.

    Attributes:
        x: Points, shape (n, d), float64.
        w: Quadrature weights, shape (n,): lengths, areas or volumes, times the duration if there is a time.
        normal: Outward unit normals, shape (n, d), on a boundary.
        tag: Index into the domain's `tags`, shape (n,), int16, on a boundary.
        t: Times, shape (n,), in a space-time domain.
    """

    x: Tensor
    w: Tensor
    normal: Tensor | None = None
    tag: Tensor | None = None
    t: Tensor | None = None

    def __post_init__(self) -> None:
        n = self.x.shape[0]
        if self.x.ndim != 2 or any(value.shape[0] != n for value in self._present().values()):
            shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in self._present().items())
            raise UsageError(f"a point set needs x (n, d) and one row of the rest per point, got {shapes}")

    def __len__(self) -> int:
        return self.x.shape[0]

    def _present(self) -> dict[str, Tensor]:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def coordinates(self) -> Tensor:
        """Return the points as residuals take them: x, shape (n, d), or with the time last, shape (n, d + 1)."""
        return self.x if self.t is None else torch.cat([self.x, self.t[:, None].to(self.x.dtype)], dim=1)

    def subset(self, which: Tensor) -> PointSet:
        """Return some of the points with their weights as they are.

        Args:
            which: Ids, shape (k,), or a mask, shape (n,).
        """
        return PointSet(**{name: value[which] for name, value in self._present().items()})

    def concat(self, *others: PointSet) -> PointSet:
        """Return these points followed by those of other sets.

        Args:
            others: Sets with the same attributes.

        Raises:
            UsageError: If some sets have normals, tags or times and others have not.
        """
        sets = [self._present(), *(other._present() for other in others)]
        for names in sets:
            if names.keys() != sets[0].keys():
                raise UsageError(
                    f"cannot join point sets with {', '.join(sets[0])} and with {', '.join(names)}; keep them apart"
                )
        return PointSet(**{name: torch.cat([each[name] for each in sets]) for name in sets[0]})

    def shuffle(self, generator: torch.Generator) -> PointSet:
        """Return the points in random order.

        Args:
            generator: Source of randomness.
        """
        return self.subset(torch.randperm(len(self), generator=generator))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> PointSet:
        """Return the set on another device or with other floating-point numbers; tags keep their type.

        Args:
            device: Where to put the tensors.
            dtype: Floating-point type.
        """
        moved = {
            name: value.to(device, dtype if value.is_floating_point() else None)
            for name, value in self._present().items()
        }
        return PointSet(**moved)
