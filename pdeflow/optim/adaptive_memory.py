"""Momentum whose memory follows from a model of the last two gradients, in front of SGD, AdamW and Muon.

Topollai and Choromanska, Adaptive memory momentum, arXiv 2510.04988; the formula of β is our derivation, and with it the
length of the direction never grows: in benchmarks/optimizers.py plain momentum, Adam and Muon were better.
"""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdeflow.optim.chain import MatrixOptimizer
from pdeflow.optim.matrix_maps import orthogonalize, rescale
from pdeflow.optim.momentum import adamw, adaptive_memory, entry_second_moment
from pdeflow.optim.polar import PolarDtype, PolarMethod
from pdeflow.optim.settings import Scale, options


class AdaptiveMemorySGD(MatrixOptimizer):
    """W ← (1 - lr λ) W - lr d with the adaptive-memory direction d of each matrix.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate, in units of one over the curvature.
        memory: Least weight ℓ of the past: d ← ((β + ℓ) d + (1 - β) g) / (1 + ℓ).
        weight_decay: Decoupled decay λ, for every kind of parameter.

    Raises:
        ValueError: If a setting is out of range, or a view is unknown or does not fit its parameters.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.1,
        memory: float = 4.0,
        weight_decay: float = 0.0,
    ) -> None:
        settings = options(locals()) | {"adamw_lr_ratio": 1.0}
        super().__init__(params, settings, (adaptive_memory,), (adaptive_memory,), entrywise=False)


class AdaptiveMemoryAdamW(MatrixOptimizer):
    """AdamW with the adaptive-memory direction in the place of its first moment.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate.
        memory: Least weight ℓ of the past.
        beta2: Decay of the second moment.
        eps: Adam's ε.
        weight_decay: Decoupled decay λ, for every kind of parameter.

    Raises:
        ValueError: If a setting is out of range, or a view is unknown or does not fit its parameters.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 3e-3,
        memory: float = 4.0,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        settings, chain = options(locals()) | {"adamw_lr_ratio": 1.0}, (adaptive_memory, entry_second_moment)
        super().__init__(params, settings, chain, chain, entrywise=False)


class AdaptiveMemoryMuon(MatrixOptimizer):
    """Muon of the adaptive-memory direction of each matrix; elementwise parameters take AdamW steps.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of root mean square 0.2, so about that of AdamW.
        memory: Least weight ℓ of the past.
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
        memory: float = 4.0,
        weight_decay: float = 0.0,
        polar: PolarMethod = "auto",
        polar_steps: int = 4,
        polar_dtype: PolarDtype = "same",
        scale: Scale = "rms",
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (adaptive_memory, orthogonalize, rescale), (adamw,))
