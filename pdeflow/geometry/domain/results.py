"""What closest-point and ray queries return."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Projection:
    """Closest boundary points c of n points x.

    Attributes:
        point: c, shape (n, d), differentiable in x.
        distance: |x − c|, shape (n,), in length units.
        normal: Outward unit normal at c, shape (n, d); at a corner the direction (x − c)/φ(x).
        facet: Which piece of the boundary c lies on, shape (n,), int64; numbered by each shape.
        tag: Index into the domain's `tags`, shape (n,), int64.
    """

    point: Tensor
    distance: Tensor
    normal: Tensor
    facet: Tensor
    tag: Tensor


@dataclass(frozen=True, eq=False)
class Hit:
    """First boundary points met by n rays x + t v, |v| = 1, 0 < t ≤ tmax.

    Attributes:
        t: Length travelled, shape (n,); infinite where the ray meets nothing.
        point: Where it ended, shape (n, d); x + tmax v where it meets nothing (x if tmax is infinite).
        normal: Outward unit normal there, shape (n, d); zero where it meets nothing.
        tag: Index into the domain's `tags`, shape (n,), int64; −1 where it meets nothing.
        mask: Whether the boundary was met, shape (n,).
    """

    t: Tensor
    point: Tensor
    normal: Tensor
    tag: Tensor
    mask: Tensor


def hit(x: Tensor, direction: Tensor, t: Tensor, normal: Tensor, tag: Tensor, tmax: float) -> Hit:
    """Assemble a hit; t is infinite where a ray meets nothing.

    Args:
        x: Origins, shape (n, d).
        direction: Unit directions, shape (n, d).
        t: Lengths, shape (n,).
        normal: Normals, shape (n, d).
        tag: Tag ids, shape (n,).
        tmax: Longest length.
    """
    mask = t.isfinite() & (t <= tmax)
    t = t.where(mask, t.new_tensor(float("inf")))
    end = t.where(mask, t.new_tensor(tmax if tmax < float("inf") else 0.0))
    return Hit(
        t, x + end[:, None] * direction, normal * mask[:, None], tag.where(mask, tag.new_tensor(-1)), mask
    )
