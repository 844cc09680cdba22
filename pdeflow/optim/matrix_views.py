"""How a matrix-aware optimizer sees a parameter: maps to batches of matrices (B, fan-out, fan-in) and back.

A Fourier layer is block-diagonal over modes, so its L² norm is max_k ‖W_k‖₂ and its matrices are the modes'
blocks (Li et al., Fourier Neural Operator, ICLR 2021, eq. (4)). Complex parameters are stored real, with a
last axis of two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class MatrixView:
    """A pair of inverse maps between a parameter's layout and a batch of matrices.

    Args:
        to_matrix: Takes a tensor of the parameter's shape, returns shape (B, m, n), m the fan-out.
        from_matrix: Takes (B, m, n) and the parameter's shape (complex: without the last axis of two),
            inverts to_matrix.
        stored_complex: Whether the parameter holds complex numbers, as a complex tensor or with a last axis
            of two.
        min_axes: Least number of (complex) axes of such a parameter.
    """

    to_matrix: Callable[[Tensor], Tensor]
    from_matrix: Callable[[Tensor, Sequence[int]], Tensor]
    stored_complex: bool
    min_axes: int


def _spectral_to(p: Tensor) -> Tensor:
    return p.flatten(0, -3).transpose(1, 2)  # (*kept, in, out) as (modes, out, in)


def _spectral_from(m: Tensor, shape: Sequence[int]) -> Tensor:
    return m.transpose(1, 2).reshape(tuple(shape))


def _core_to(p: Tensor) -> Tensor:
    return p.flatten(0, -3).permute(2, 1, 0).flatten(1).unsqueeze(0)  # (1, r_out, r_in * modes)


def _core_from(m: Tensor, shape: Sequence[int]) -> Tensor:
    return m.reshape(shape[-1], shape[-2], -1).permute(2, 1, 0).reshape(tuple(shape))


def _channels_last(p: Tensor) -> Tensor:
    return p.movedim((0, 1), (-2, -1))


def _channels_first(p: Tensor, shape: Sequence[int]) -> Tensor:
    return p.reshape(*shape[2:], *shape[:2]).movedim((-2, -1), (0, 1))


def _rows_to(p: Tensor) -> Tensor:
    return p.flatten(1).unsqueeze(0)


def _entries_to(p: Tensor) -> Tensor:
    return p.reshape(1, 1, -1)


def _each_row_to(p: Tensor) -> Tensor:
    return p.flatten(1).unsqueeze(1)  # (rows, 1, n): polar factors are unit rows


def _each_column_to(p: Tensor) -> Tensor:
    return p.flatten(1).transpose(0, 1).unsqueeze(2)  # (columns, m, 1)


def _each_column_from(m: Tensor, shape: Sequence[int]) -> Tensor:
    return m.squeeze(2).transpose(0, 1).reshape(tuple(shape))


def _train_core_to(p: Tensor) -> Tensor:
    return p.flatten(0, -2).unsqueeze(0)  # (r, d, r') as (1, r d, r'): bond gauges act on the right


def _row_blocks(count: int) -> MatrixView:
    """Split the rows of a matrix into equal blocks, as the heads of fused projections are."""
    return MatrixView(lambda p: p.reshape(count, p.shape[0] // count, -1), _reshape, stored_complex=False, min_axes=2)


def _reshape(m: Tensor, shape: Sequence[int]) -> Tensor:
    return m.reshape(tuple(shape))


# "channels_first": (in, out, *kept) as neuraloperator stores it; ours is (*kept, in, out)
VIEWS: dict[str, MatrixView] = {
    "matrix": MatrixView(_rows_to, _reshape, stored_complex=False, min_axes=2),
    "spectral": MatrixView(_spectral_to, _spectral_from, stored_complex=True, min_axes=3),
    "spectral_channels_first": MatrixView(
        lambda p: _spectral_to(_channels_last(p)),
        lambda m, shape: _channels_first(_spectral_from(m, (*shape[2:], *shape[:2])), shape), True, 3,
    ),
    "complex_matrix": MatrixView(_rows_to, _reshape, stored_complex=True, min_axes=2),
    "tucker_core": MatrixView(_core_to, _core_from, stored_complex=True, min_axes=3),
    "tucker_core_channels_first": MatrixView(
        lambda p: _core_to(_channels_last(p)),
        lambda m, shape: _channels_first(_core_from(m, (*shape[2:], *shape[:2])), shape), True, 3,
    ),
    "rows": MatrixView(_each_row_to, _reshape, stored_complex=False, min_axes=2),
    "columns": MatrixView(_each_column_to, _each_column_from, stored_complex=False, min_axes=2),
    "complex_columns": MatrixView(_each_column_to, _each_column_from, stored_complex=True, min_axes=2),
    "train_core": MatrixView(_train_core_to, _reshape, stored_complex=False, min_axes=2),
    "complex_train_core": MatrixView(_train_core_to, _reshape, stored_complex=True, min_axes=2),
    "elementwise": MatrixView(_entries_to, _reshape, stored_complex=False, min_axes=0),
}
"""What the names in a module's `matrix_views` and in the key `matrix_view` mean; beside them, "matrix/K": K blocks of rows."""


def find_view(name: str) -> MatrixView:
    """Return the view of a name.

    Args:
        name: A key of VIEWS, or "matrix/K".

    Raises:
        ValueError: If there is no such view.
    """
    base, slash, count = name.partition("/")
    if slash and base == "matrix" and count.isdecimal() and int(count) > 0:
        return _row_blocks(int(count))
    if name not in VIEWS:
        raise ValueError(f"matrix_view must be one of {', '.join(VIEWS)} or matrix/K, got {name!r}")
    return VIEWS[name]


def to_matrix(parameter: Tensor, view: str) -> Tensor:
    """See a parameter, gradient or momentum as a batch of matrices.

    Args:
        parameter: Tensor in the parameter's layout; complex views take (..., 2) real or a complex tensor.
        view: A key of VIEWS.

    Returns:
        Real or complex matrices, shape (B, fan-out, fan-in).

    Raises:
        ValueError: If the view is unknown or does not fit the shape.
    """
    check_view(parameter, view)
    found = find_view(view)
    if found.stored_complex and not parameter.is_complex():
        parameter = torch.view_as_complex(parameter.contiguous())
    return found.to_matrix(parameter)


def from_matrix(matrix: Tensor, view: str, like: Tensor) -> Tensor:
    """Bring matrices back to the layout of a parameter.

    Args:
        matrix: Matrices as to_matrix returns them, shape (B, m, n).
        view: A key of VIEWS.
        like: Parameter whose shape and storage the result takes.

    Returns:
        Tensor of the shape of like.

    Raises:
        ValueError: If the view is unknown or does not fit, or the number of entries differs.
    """
    check_view(like, view)
    found = find_view(view)
    split = found.stored_complex and not like.is_complex()
    shape = like.shape[:-1] if split else like.shape
    if matrix.numel() != math.prod(shape):
        raise ValueError(f"matrices {tuple(matrix.shape)} do not fill a parameter {tuple(like.shape)}")
    entries = found.from_matrix(matrix, shape)
    return torch.view_as_real(entries) if split else entries


def view_of(parameter: Tensor, group: dict[str, Any]) -> str:
    """Return the view that a group gives to a parameter.

    Args:
        parameter: The parameter.
        group: Its group, with or without the key `matrix_view`.

    Returns:
        The group's view, else "matrix" for two or more axes and "elementwise" for fewer.
    """
    return group.get("matrix_view") or ("matrix" if parameter.ndim >= 2 else "elementwise")


def check_view(parameter: Tensor, view: str) -> None:
    """Check that a view fits a parameter.

    Args:
        parameter: The parameter.
        view: Name of the view.

    Raises:
        ValueError: If the view is unknown or the shape or storage does not fit it.
    """
    found = find_view(view)
    split = found.stored_complex and not parameter.is_complex()
    axes = parameter.ndim - split
    if axes < found.min_axes or (split and parameter.shape[-1] != 2):
        raise ValueError(
            f"view {view!r} needs {found.min_axes} axes{' and a last axis of 2' if split else ''}, "
            f"got shape {tuple(parameter.shape)}; declare another view in the module's matrix_views"
        )
    if split and parameter.dtype in (torch.bfloat16, torch.float16):
        raise ValueError(
            f"view {view!r} reads pairs of real numbers as complex ones, which do not exist in {parameter.dtype}; "
            "keep the weights in float32 (trainer.precision bf16-mixed instead of bf16-true)"
        )
    if "/" in view and parameter.shape[0] % int(view.partition("/")[2]):
        raise ValueError(f"view {view!r} needs rows in equal blocks, got shape {tuple(parameter.shape)}")
