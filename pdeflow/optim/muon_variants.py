"""Muon's relatives: a second moment after the polar factor, or outliers clipped before it.

NorMuon: Li et al., arXiv 2510.05491, algorithm 1; AdaMuon: Si, Zhang, Shen, arXiv 2507.11005, algorithm 1; ROOT:
Robust orthogonalized optimizer, arXiv 2511.20626.
"""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdeflow.optim.chain import MatrixOptimizer
from pdeflow.optim.matrix_maps import (
    element_second_moment,
    fixed_rms,
    orthogonalize,
    rescale,
    row_second_moment,
    sign,
    soft_clip,
)
from pdeflow.optim.momentum import adamw, ema, heavy_ball
from pdeflow.optim.polar import PolarDtype, PolarMethod
from pdeflow.optim.settings import Scale, options


class NorMuon(MatrixOptimizer):
    """Muon whose rows are divided by their running root mean square, at unchanged Frobenius norm.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of root mean square 0.2, so about that of AdamW.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        nesterov: Whether to look ahead, taking β B + (1 - β) G instead of B.
        beta2: Decay of the second moment.
        weight_decay: Decoupled decay λ, for every kind of parameter.
        polar: How the polar factor is computed, as in pdeflow.optim.polar.
        polar_steps: Iterations, where the method does not fix them.
        polar_dtype: Working precision of the polar factor; "bfloat16" is for networks without complex weights.
        scale: Factor of an (m, n) update, as in Muon.
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
        beta2: float = 0.95,
        weight_decay: float = 0.0,
        polar: PolarMethod = "auto",
        polar_steps: int = 4,
        polar_dtype: PolarDtype = "same",
        scale: Scale = "rms",
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (ema, orthogonalize, row_second_moment, rescale), (adamw,))


class AdaMuon(MatrixOptimizer):
    """Polar factor of the signs of the momentum, its entries divided by their running root mean square.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of root mean square 0.2, so about that of AdamW.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        nesterov: Whether to look ahead, taking β B + (1 - β) G instead of B.
        beta2: Decay of the second moment.
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
        beta2: float = 0.95,
        weight_decay: float = 0.0,
        polar: PolarMethod = "auto",
        polar_steps: int = 4,
        polar_dtype: PolarDtype = "same",
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (ema, sign, orthogonalize, element_second_moment, fixed_rms), (adamw,))


class ROOT(MatrixOptimizer):
    """Muon of a heavy ball whose entries are clipped at a quantile of their size: a few outliers turn no direction.

    The paper fits one Newton-Schulz triple per shape to sampled spectra, which may diverge on the next sample; here `polar` is
    exact or, with "minimax", a composition with a certified bound.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of root mean square 0.2, so about that of AdamW.
        momentum: Decay μ of the summed gradient B ← μ B + G.
        nesterov: Whether to look ahead, taking G + μ B instead of B.
        quantile: Share of the entries of each matrix that stay as they are.
        weight_decay: Decoupled decay λ, for every kind of parameter.
        polar: How the polar factor is computed, as in pdeflow.optim.polar.
        polar_steps: Iterations, where the method does not fix them.
        polar_dtype: Working precision of the polar factor; "bfloat16" is for networks without complex weights.
        scale: Factor of an (m, n) update, as in Muon.
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
        quantile: float = 0.9,
        weight_decay: float = 0.0,
        polar: PolarMethod = "auto",
        polar_steps: int = 4,
        polar_dtype: PolarDtype = "same",
        scale: Scale = "rms",
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (heavy_ball, soft_clip, orthogonalize, rescale), (adamw,))
