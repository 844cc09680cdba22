"""Muon: momentum replaced by its polar factor, per matrix, and per Fourier mode for spectral weights.

Jordan, Muon: an optimizer for hidden layers (2024); scale: Liu et al., Muon is scalable, arXiv 2502.16982, eq. (4).
"""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdeflow.optim.chain import MatrixOptimizer
from pdeflow.optim.matrix_maps import orthogonalize, rescale
from pdeflow.optim.momentum import adamw, ema
from pdeflow.optim.polar import PolarDtype, PolarMethod
from pdeflow.optim.settings import Scale, options


class Muon(MatrixOptimizer):
    """Matrix-aware momentum: W ← (1 - lr λ) W - lr s polar(N), N the Nesterov mix of gradient and momentum.

    A parameter group may carry `matrix_view`, a name of pdeflow.optim.matrix_views; without it parameters
    of two or more axes are matrices (fan-out first) and the others elementwise, which get AdamW steps.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; with scale "rms" about that of AdamW, times one to ten for operators.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        nesterov: Whether the polar factor is taken of β B + (1 - β) G instead of B.
        weight_decay: Decoupled decay λ, for every kind of parameter.
        polar: How the polar factor is computed, as in pdeflow.optim.polar.
        polar_steps: Iterations, where the method does not fix them; four multiply tiny singular values by 433 (jordan5: 485) and
            bring those from 1e-3 up into 0.43 to 1.56, five into 0.85 to 1.13, six into 0.995 to 1.002. Eight lowered the errors of
            benchmarks/darcy_trainers.py by 2 to 6 %, about their spread over seeds.
        polar_dtype: Working precision of the polar factor; "bfloat16" is for networks without complex weights.
        scale: Factor s of an (m, n) update: "rms" 0.2 sqrt(max(m, n)), so that its entries have root mean
            square 0.2 as AdamW's; "kj" sqrt(max(1, m/n)); "spectral" sqrt(m/n); "none" 1.
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
        weight_decay: float = 0.0,
        polar: PolarMethod = "auto",
        polar_steps: int = 4,
        polar_dtype: PolarDtype = "same",
        scale: Scale = "rms",
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (ema, orthogonalize, rescale), (adamw,))
