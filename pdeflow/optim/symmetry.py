"""One update rule per symmetry of a block: the map commutes with the group that leaves the network unchanged.

Symmetry-compatible optimizers, arXiv 2605.18106; the formulas are ours where the abstract gives none.
"""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdeflow.optim.chain import MatrixOptimizer
from pdeflow.optim.matrix_maps import fixed_rms
from pdeflow.optim.momentum import adamw, ema
from pdeflow.optim.polar import PolarDtype, PolarMethod
from pdeflow.optim.settings import Symmetry, options
from pdeflow.optim.symmetric_maps import symmetric_map


class SymmetryAware(MatrixOptimizer):
    """Momentum shaped by the map of the block's symmetry, then scaled to root mean square 0.2.

    A parameter group may carry `symmetry`: "orthogonal" polar factor (rotations of both sides); "rows" unit rows (permutations of
    rows, rotations of the right: embeddings, heads), "rows_after_polar" unit rows of the polar factor, "one_sided"
    M (E GᴴG)^(-1/2) (the same group, with memory); "columns" unit columns; "shift" unit rows after the mean row is taken out
    (rows that may be shifted together: softmax). Views "rows" and "columns" give the same rules to any optimizer.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of root mean square 0.2, so about that of AdamW.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        nesterov: Whether to look ahead, taking β B + (1 - β) G instead of B.
        symmetry: Rule of groups that name none.
        statistics_decay: Decay of the covariance of "one_sided".
        damping: Added to it, times its mean eigenvalue.
        refresh: Steps between its eigendecompositions.
        weight_decay: Decoupled decay λ, for every kind of parameter.
        polar: How the polar factor is computed, as in pdeflow.optim.polar.
        polar_steps: Iterations, where the method does not fix them.
        polar_dtype: Working precision of the polar factor; "bfloat16" is for networks without complex weights.
        adamw_lr_ratio: Learning rate of elementwise parameters over lr.
        adamw_betas: Decay rates of AdamW's two moments.
        adamw_eps: AdamW's ε.

    Raises:
        ValueError: If a setting is out of range, or a view is unknown or does not fit its parameters.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.02,
        momentum: float = 0.95,
        nesterov: bool = True,
        symmetry: Symmetry = "orthogonal",
        statistics_decay: float = 0.95,
        damping: float = 1e-4,
        refresh: int = 5,
        weight_decay: float = 0.0,
        polar: PolarMethod = "auto",
        polar_steps: int = 8,
        polar_dtype: PolarDtype = "same",
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (ema, symmetric_map, fixed_rms), (adamw,))
