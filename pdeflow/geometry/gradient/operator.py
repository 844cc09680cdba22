"""Discrete gradients in gather form: (G u)_i = Σ_k coeff_ik (u_index_ik - u_base_i), so that G 1 = 0 exactly.

The padded ("ELL") sparse format of Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., section 3.4, with the
diagonal left out: it batches over different meshes by stacking and needs no sparse kernels.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from pdeflow.errors import UsageError


@dataclass(frozen=True, eq=False)
class GradientOperator:
    """Linear map from n point values to R gradients; R = n with row i at point i unless `base` says otherwise.

    Attributes:
        index: Points read by each row, shape (R, K), int64; padding repeats the base point. A stack of
            operators has (B, R, K) with ids local to each member.
        coeff: Coefficients in one over length units, shape (R, K, d) or (B, R, K, d), zero on padding.
        base: Point subtracted in each row, shape (R,) or (B, R).
        n_points: Number of points n (of each member, padded).
        order: Order of accuracy in the mesh size for smooth functions; 0 when unknown.
    """

    index: Tensor
    coeff: Tensor
    base: Tensor
    n_points: int
    order: int = 0

    def __post_init__(self) -> None:
        if self.coeff.shape[:-1] != self.index.shape or self.base.shape != self.index.shape[:-1]:
            raise UsageError(
                f"a gradient needs index (R, K), coeff (R, K, d), base (R,), got {tuple(self.index.shape)}, "
                f"{tuple(self.coeff.shape)}, {tuple(self.base.shape)}"
            )

    @classmethod
    def at_points(cls, index: Tensor, coeff: Tensor, order: int = 0) -> GradientOperator:
        """Build an operator with one row per point, shapes (n, K) and (n, K, d)."""
        return cls(index, coeff, torch.arange(index.shape[0]), index.shape[0], order)

    @property
    def dim(self) -> int:
        """Number of derivatives d."""
        return self.coeff.shape[-1]

    @property
    def batched(self) -> bool:
        """Whether this is a stack of operators."""
        return self.index.ndim == 3

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> GradientOperator:
        """Move to a device, or cast the coefficients."""
        coeff = self.coeff.to(device=device, dtype=dtype)
        return GradientOperator(self.index.to(device), coeff, self.base.to(device), self.n_points, self.order)

    def __call__(self, u: Tensor) -> Tensor:
        """Differentiate point values.

        Args:
            u: Values, shape (..., n, c); a stack of B operators takes (..., B, n, c).

        Returns:
            Gradients of u's dtype, shape (..., n, c, d) or (..., B, n, c, d); cell gradients have R for n.

        Raises:
            UsageError: If u has another number of points or members.
        """
        expected = (*self.index.shape[:-2], self.n_points)
        if u.ndim < len(expected) + 1 or tuple(u.shape[-1 - len(expected) : -1]) != expected:
            raise UsageError(
                f"expected values (..., {', '.join(map(str, expected))}, channels), got {tuple(u.shape)}"
            )
        index, coeff, base = self._flat()
        rows = self.base.shape
        values = u.flatten(-3, -2) if self.batched else u
        gathered = values.index_select(-2, index.flatten()).unflatten(
            -2, tuple(index.shape)
        )  # (..., R, K, c)
        steps = gathered - values.index_select(-2, base).unsqueeze(-2)
        result = torch.einsum("rkd,...rkc->...rcd", coeff.to(u.dtype), steps)
        return result.unflatten(-3, tuple(rows)) if self.batched else result

    def adjoint(self, g: Tensor) -> Tensor:
        """Apply the transpose, Σ_l G_lᵀ g_l, the negative divergence up to weights and boundary terms.

        Args:
            g: Vectors, shape (..., n, c, d) or, for a stack, (..., B, n, c, d).

        Returns:
            Point values, shape (..., n, c) or (..., B, n, c).

        Raises:
            UsageError: If g has another number of rows or derivatives.
        """
        rows = tuple(self.base.shape)
        if g.ndim < len(rows) + 2 or tuple(g.shape[-2 - len(rows) : -2]) != rows or g.shape[-1] != self.dim:
            raise UsageError(
                f"expected vectors (..., {', '.join(map(str, rows))}, channels, {self.dim}), got {tuple(g.shape)}"
            )
        index, coeff, base = self._flat()
        vectors = g.flatten(-4, -3) if self.batched else g
        parts = torch.einsum("rkd,...rcd->...rkc", coeff.to(g.dtype), vectors)  # (..., R, K, c)
        total = parts.new_zeros(*parts.shape[:-3], self._columns(), parts.shape[-1])
        total = total.index_add(-2, index.flatten(), parts.flatten(-3, -2))
        total = total.index_add(-2, base, -parts.sum(-2))
        return total.unflatten(-2, (-1, self.n_points)) if self.batched else total

    def csr(self, axis: int) -> sparse.csr_array:
        """Return the derivative along an axis as a SciPy matrix (R, n); a stack gives a block diagonal."""
        index, coeff, base = (a.detach().cpu().numpy() for a in self._flat())
        rows = np.arange(len(base))
        values = coeff[..., axis]
        row = np.concatenate([np.repeat(rows, index.shape[1]), rows])
        column = np.concatenate([index.ravel(), base])
        data = np.concatenate([values.ravel(), -values.sum(axis=1)])
        matrix = sparse.coo_array((data, (row, column)), shape=(len(base), self._columns())).tocsr()
        matrix.eliminate_zeros()
        return matrix

    def sparse(self, axis: int) -> Tensor:
        """Return the derivative along an axis as a torch sparse CSR matrix (R, n)."""
        matrix = self.csr(axis)
        rows, columns = (torch.from_numpy(ids.astype(np.int64)) for ids in (matrix.indptr, matrix.indices))
        data = torch.from_numpy(matrix.data).to(self.coeff.dtype)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            result = torch.sparse_csr_tensor(rows, columns, data, size=matrix.shape, check_invariants=True)
        return result.to(self.coeff.device)

    @staticmethod
    def stack(operators: Sequence[GradientOperator]) -> GradientOperator:
        """Pad operators of different meshes to one size and batch them.

        Args:
            operators: B operators of one dimension; member b has n_b points.

        Returns:
            Operator on (..., B, n, c) with n = max n_b; padded rows give zero and padded values are never read.

        Raises:
            UsageError: If there is none, they differ in dimension, or one is a stack already.
        """
        if not operators or len({op.dim for op in operators}) > 1 or any(op.batched for op in operators):
            raise UsageError(
                f"stack needs single operators of one dimension, got dimensions {[op.dim for op in operators]}"
            )
        rows, width = (max(op.index.shape[axis] for op in operators) for axis in (0, 1))
        padded = [_pad(op, rows, width) for op in operators]
        index, coeff, base = (torch.stack(parts) for parts in zip(*padded, strict=True))
        n_points = max(op.n_points for op in operators)
        return GradientOperator(index, coeff, base, n_points, min(op.order for op in operators))

    def _columns(self) -> int:
        return self.n_points * (self.index.shape[0] if self.batched else 1)

    def _flat(self) -> tuple[Tensor, Tensor, Tensor]:
        """Index (R, K), coeff (R, K, d) and base (R,) with the members of a stack joined into one point set."""
        if not self.batched:
            return self.index, self.coeff, self.base
        shift = torch.arange(self.index.shape[0], device=self.index.device) * self.n_points
        index = self.index + shift[:, None, None]
        return index.flatten(0, 1), self.coeff.flatten(0, 1), (self.base + shift[:, None]).flatten()


def _pad(op: GradientOperator, rows: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Enlarge to (rows, width): new columns repeat the base, new rows read point 0, all with coefficient zero."""
    more_rows, more_columns = rows - op.index.shape[0], width - op.index.shape[1]
    base = torch.nn.functional.pad(op.base, (0, more_rows))
    index = torch.cat([op.index, op.base[:, None].expand(-1, more_columns)], dim=1)
    index = torch.nn.functional.pad(index, (0, 0, 0, more_rows))
    return index, torch.nn.functional.pad(op.coeff, (0, 0, 0, more_columns, 0, more_rows)), base
