"""PolarGrad: steepest descent in the spectral norm, the polar factor times the nuclear norm.

Lau, Long, Su, PolarGrad, arXiv 2505.21799.
"""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdeflow.optim.chain import MatrixOptimizer
from pdeflow.optim.matrix_maps import nuclear_norm_of_gradient, orthogonalize, orthogonalize_by_nuclear_norm
from pdeflow.optim.momentum import adamw, ema
from pdeflow.optim.polar import PolarDtype, PolarMethod
from pdeflow.optim.settings import options


class PolarGrad(MatrixOptimizer):
    """W ← W - lr ‖M‖_* polar(M), M the momentum; or, polar first, - lr ‖G‖_* times the averaged polar factors.

    The step shrinks with the gradient, so that a constant rate converges linearly where Muon stalls.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate in units of one over the curvature: the update has the size of the gradient's nuclear norm.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        nesterov: Whether to look ahead, taking β B + (1 - β) G instead of B.
        polar_first: Whether to average polar factors instead of gradients.
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
        lr: float = 1e-3,
        momentum: float = 0.95,
        nesterov: bool = False,
        polar_first: bool = False,
        weight_decay: float = 0.0,
        polar: PolarMethod = "auto",
        polar_steps: int = 8,
        polar_dtype: PolarDtype = "same",
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        chain = (orthogonalize, ema, nuclear_norm_of_gradient) if polar_first else (ema, orthogonalize_by_nuclear_norm)
        super().__init__(params, options(locals()), chain, (adamw,))
