"""Maps of an update that commute with the symmetry of its block: of the network's rows, columns or shifts.

Symmetry-compatible optimizers, arXiv 2605.18106; formulas ours where the abstract gives none.
"""

from __future__ import annotations

from torch import Tensor

from pdeflow.optim.chain import MatrixBatch
from pdeflow.optim.matrix_maps import orthogonalize, unit_columns, unit_rows
from pdeflow.optim.whitening import whiten_right


def symmetric_map(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Shape X by the rule that the group's option symmetry names.

    f(P X Q) = P f(X) Q: "orthogonal" for unitary P and Q; "rows", "rows_after_polar", "one_sided" for permutations P and unitary
    Q; "columns" the other way round; "shift" as "rows", and f(X + 1 vᵀ) = f(X).
    """
    symmetry = batch.group["symmetry"]
    if symmetry == "orthogonal":
        return orthogonalize(x, batch)
    if symmetry == "rows":
        return unit_rows(x)
    if symmetry == "rows_after_polar":
        return unit_rows(orthogonalize(x, batch))
    if symmetry == "one_sided":
        return whiten_right(x, batch)
    if symmetry == "columns":
        return unit_columns(x)
    return unit_rows(x - x.mean(-2, keepdim=True))
