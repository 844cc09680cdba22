"""The checks that every query of a domain makes at the door."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from pdeflow.errors import UsageError


def check_points(x: Tensor, dim: int) -> Tensor:
    """Return the points as they are if they are finite and have shape (n, dim).

    Args:
        x: Points.
        dim: Dimension of the domain.

    Raises:
        UsageError: If they are no tensor, the shape is another one, or a coordinate is not finite.
    """
    if not isinstance(x, Tensor):
        raise UsageError(f"points must be a torch tensor (n, {dim}), got {type(x).__name__}; use torch.as_tensor(x)")
    if x.ndim != 2 or x.shape[-1] != dim:
        raise UsageError(f"the domain is {dim}-D but the points have shape {tuple(x.shape)}; pass (n, {dim})")
    finite = torch.isfinite(x.detach())
    if not bool(finite.all()):
        bad = int((~finite.all(dim=1)).nonzero()[0])
        raise UsageError(f"point {bad} is not finite: {x[bad].tolist()}")
    return x


def mesh_size(h: Any) -> float:
    """Return a mesh size as a float.

    Args:
        h: Length of an edge, in length units.

    Raises:
        UsageError: If it is no number, or not positive and finite.
    """
    if isinstance(h, bool) or not isinstance(h, Real):
        raise UsageError(f"the mesh size must be a number, got {h!r}; pass the length of an edge, e.g. 0.1")
    if not 0 < float(h) < math.inf:
        raise UsageError(f"the mesh size must be positive and finite, got {h}; pass the length of an edge, e.g. 0.1")
    return float(h)


def check_generator(generator: Any) -> torch.Generator:
    """Return the source of randomness as it is.

    Args:
        generator: A torch generator.

    Raises:
        UsageError: If it is something else, such as a seed.
    """
    if not isinstance(generator, torch.Generator):
        seed = generator if isinstance(generator, int) and not isinstance(generator, bool) and generator >= 0 else 0
        raise UsageError(
            f"generator must be a torch.Generator, got {type(generator).__name__} {generator!r}; make one by "
            f"torch.Generator().manual_seed({seed}) or pdeflow.seeds.generator({seed}, pdeflow.seeds.GEOMETRY, 0)"
        )
    return generator


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


def rotation_matrix(rotation: float | Tensor, dim: int) -> Tensor:
    """Return a rotation of R^dim as a matrix.

    Args:
        rotation: Angle in radians (2-D only) or matrix, shape (dim, dim).
        dim: Dimension.

    Returns:
        Matrix, shape (dim, dim), float64.

    Raises:
        UsageError: If it is no rotation of R^dim.
    """
    matrix = torch.as_tensor(rotation, dtype=torch.float64)
    if matrix.ndim == 0 and dim == 2:
        c, s = math.cos(matrix), math.sin(matrix)
        return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    if matrix.shape != (dim, dim):
        raise UsageError(
            f"a rotation in {dim}-D must be a matrix ({dim}, {dim}), got shape {tuple(matrix.shape)}"
        )
    defect = float((matrix @ matrix.T - torch.eye(dim, dtype=torch.float64)).abs().max())
    if not (defect < 1e-10 and torch.linalg.det(matrix) > 0):
        raise UsageError(
            f"a rotation matrix must be orthogonal with determinant 1; |R Rᵀ − I| is {defect:.2g}"
        )
    return matrix


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


def rays(x: Tensor, direction: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return float64 ray origins and unit directions of one shape (n, dim).

    Args:
        x: Origins, shape (n, dim).
        direction: Directions of any length, shape (n, dim) or (dim,).
        dim: Dimension of the domain.

    Raises:
        UsageError: If shapes differ or a direction is zero.
    """
    x = check_points(x, dim).double()
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
