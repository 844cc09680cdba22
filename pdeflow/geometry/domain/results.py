"""What closest-point and ray queries return, and the checks that every query makes at the door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.errors import UsageError


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


def check_points(x: Tensor, dim: int, name: str) -> Tensor:
    """Return the points as they are if they have shape (n, dim).

    Args:
        x: Points.
        dim: Dimension of the domain.
        name: What the domain is called in the message.

    Raises:
        UsageError: If the shape is another one.
    """
    if x.ndim != 2 or x.shape[-1] != dim:
        raise UsageError(f"the {name} is {dim}-D but the points have shape {tuple(x.shape)}; pass (n, {dim})")
    return x


def vector(values: Sequence[float] | None, dim: int) -> Tensor:
    """Return coordinates as a float64 tensor, shape (dim,).

    Args:
        values: dim numbers; zeros if None.
        dim: Dimension.

    Raises:
        UsageError: If there are more or fewer of them.
    """
    result = torch.as_tensor((0.0,) * dim if values is None else values, dtype=torch.float64)
    if result.shape != (dim,):
        raise UsageError(
            f"the domain is {dim}-D but the vector has shape {tuple(result.shape)}; pass {dim} numbers"
        )
    return result


def tag_ids(tags: str | Sequence[str] | None, known: Sequence[str]) -> list[int]:
    """Return the numbers of named boundary parts; None means all.

    Args:
        tags: One name, several, or None.
        known: The domain's tags.

    Raises:
        UsageError: If a name is unknown or no name is given.
    """
    names = list(known) if tags is None else [tags] if isinstance(tags, str) else list(tags)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UsageError(
            f"unknown boundary tag {unknown[0] if unknown else '()'!r}; the domain has {', '.join(known)}"
        )
    return [list(known).index(name) for name in dict.fromkeys(names)]


def rays(x: Tensor, direction: Tensor, dim: int, name: str) -> tuple[Tensor, Tensor]:
    """Return float64 ray origins and unit directions of one shape (n, dim).

    Args:
        x: Origins, shape (n, dim).
        direction: Directions of any length, shape (n, dim) or (dim,).
        dim: Dimension of the domain.
        name: What the domain is called in the message.

    Raises:
        UsageError: If shapes differ or a direction is zero.
    """
    x = check_points(x, dim, name).double()
    direction = direction.double().expand_as(x) if direction.shape[-1:] == (dim,) else direction
    if direction.shape != x.shape:
        raise UsageError(
            f"ray directions have shape {tuple(direction.shape)}; pass {tuple(x.shape)} or ({dim},)"
        )
    length = direction.norm(dim=1, keepdim=True)
    if bool((length == 0).any()):
        raise UsageError(
            f"ray {int((length[:, 0] == 0).nonzero()[0])} has direction zero; pass nonzero directions"
        )
    return x, direction / length


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
