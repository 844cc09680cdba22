"""The last few directions of an iteration, to which a new one is made A-orthogonal, for a batch of columns.

Kaneda et al., A Deep Conjugate Direction Method, arXiv 2205.10763 (window of two); Notay, SIAM J. Sci. Comput. 22 (2000),
section 2 (truncated flexible conjugate gradients).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Apply = Callable[[Tensor], Tensor]
CANCELLED = 0.1
"""Share of its A-norm below which a direction that was made A-orthogonal is so once more."""
DEPENDENT = 1e-6
"""Share below which it is rounding: 1e-12 as condition of the Gram matrix of normalised directions."""


def inner(u: Tensor, v: Tensor) -> Tensor:
    """Inner product of each column, shapes (R, ...) to (R,), formed and summed in float64: in float32 its error rules the others."""
    return (u.double() * v).flatten(1).sum(1)


def norm(u: Tensor) -> Tensor:
    """Euclidean norm of each column, shape (R,), float64; no square under- or overflows."""
    if u.device.type == "cpu":  # where a look costs less than the care
        plain = torch.linalg.vector_norm(u.flatten(1), dim=1, dtype=torch.float64)
        if bool(((plain > 1e-140) & (plain < 1e140)).all()):
            return plain
    size = magnitude(u)
    return size.double() * torch.linalg.vector_norm(over(u, size).flatten(1), dim=1, dtype=torch.float64)


def magnitude(u: Tensor) -> Tensor:
    """Largest power of two not above the largest entry of each column, shape (R,), by which one divides exactly; 1 where u = 0."""
    largest = u.detach().flatten(1).abs().amax(1)
    return torch.where(largest > 0, largest / (2 * torch.frexp(largest).mantissa), 1.0)


def times(values: Tensor, u: Tensor) -> Tensor:
    """Multiply each column u, shape (R, ...), by its number, values of shape (R,)."""
    return _beside(values, u) * u


def over(u: Tensor, values: Tensor) -> Tensor:
    """Divide each column u, shape (R, ...), by its number, values of shape (R,)."""
    return u / _beside(values, u)


def _beside(values: Tensor, u: Tensor) -> Tensor:
    return values.to(u.dtype).reshape(-1, *[1] * (u.ndim - 1))


class Window:
    """Blocks of directions d with A d and d·Ad, newest first.

    Args:
        size: Blocks that are kept; 0 keeps none.
        width: Directions of a block.
    """

    def __init__(self, size: int, width: int = 1) -> None:
        self.kept: deque[tuple[Tensor, Tensor, Tensor]] = deque(maxlen=size * width)
        self.block: list[tuple[Tensor, Tensor, Tensor]] = []

    def conjugate(self, d: Tensor, apply: Apply) -> tuple[Tensor, Tensor, Tensor]:
        """Make d A-orthogonal to the stored directions: modified Gram-Schmidt, twice where most of d cancelled.

        Args:
            d: Directions, shape (R, ...).
            apply: The operator A.

        Returns:
            d, A d, and d·Ad, shape (R,), which is 0 where d lies in the span of the stored ones; one product with A. It is
            negative only where that product says so, not by rounding of the second pass.

        Reference: Kaneda et al., arXiv 2205.10763; Notay (2000), section 2.
        """
        stored = [*reversed(self.block), *self.kept]
        removed = torch.zeros(len(d), dtype=torch.float64, device=d.device)
        for p, Ap, square in stored:
            c = inner(d, Ap) / square
            d = d - times(c, p)
            removed += c * c * square
        Ad = apply(d)
        curvature = inner(d, Ad)
        whole = curvature + removed  # d·Ad of what came, by Pythagoras in the A-norm
        again = (curvature > 0) & (curvature < CANCELLED**2 * whole)
        if stored and (d.device.type != "cpu" or bool(again.any())):
            for p, Ap, square in stored:
                c = torch.where(again, inner(d, Ap) / square, 0.0)
                d, Ad = d - times(c, p), Ad - times(c, Ap)
            curvature = torch.where(again, inner(d, Ad).clamp(min=0), curvature)
        return d, Ad, torch.where(curvature.abs() > DEPENDENT**2 * whole, curvature, 0.0)

    def push(self, d: Tensor, Ad: Tensor, curvature: Tensor) -> None:
        """Add a direction to the open block; a column without one has d = 0 and curvature 1.

        Args:
            d: Directions, shape (R, ...).
            Ad: Their products.
            curvature: d·Ad, shape (R,).
        """
        self.block.append((d, Ad, curvature))

    def close(self) -> None:
        """End the block; the oldest one leaves."""
        self.kept.extendleft(self.block)
        self.block = []

    def restart(self, which: Tensor, d: Tensor, Ad: Tensor, curvature: Tensor) -> None:
        """Of some columns keep one direction and no other, in the place of the first of the open block.

        Args:
            which: The columns, shape (R,).
            d: Directions, shape (R, ...).
            Ad: Their products.
            curvature: d·Ad, shape (R,).
        """
        if which.device.type == "cpu" and not bool(which.any()):
            return
        wide = which.reshape(-1, *[1] * (d.ndim - 1))

        def instead(old: tuple[Tensor, Tensor, Tensor], new: tuple[Any, Any, Any]) -> tuple[Tensor, Tensor, Tensor]:
            return torch.where(wide, new[0], old[0]), torch.where(wide, new[1], old[1]), torch.where(which, new[2], old[2])

        nothing = (0.0, 0.0, 1.0)
        self.kept = deque((instead(old, nothing) for old in self.kept), maxlen=self.kept.maxlen)
        self.block = [instead(old, nothing if k else (d, Ad, curvature)) for k, old in enumerate(self.block)]

    def at_least(self, size: int) -> None:
        """Keep at least so many directions from now on."""
        if (self.kept.maxlen or 0) < size:
            self.kept = deque(self.kept, maxlen=size)
