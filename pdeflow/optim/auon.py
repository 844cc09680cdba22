"""AuON: momentum divided by its norm and the mean hyperbolic cosine of its entries, with or without a Newton-Schulz step.

Maity, AuON: linear-time alternative to orthogonal momentum updates, arXiv 2509.24320, version 1.
"""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdeflow.optim.chain import MatrixOptimizer
from pdeflow.optim.matrix_maps import few_newton_schulz_steps, hyperbolic_cosine_norm, rescale
from pdeflow.optim.momentum import adamw, ema
from pdeflow.optim.settings import Scale, options


class AuON(MatrixOptimizer):
    """Frobenius-normalised momentum X / r, r² = mean cosh²|X_ij|.

    As r lies in [1, 1 + 1 / (m n)] nearly always, this is normalised momentum: the baseline that every other method should beat.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate, the Frobenius norm of the change of a matrix; the paper's is 0.08 to 0.24.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        nesterov: Whether to look ahead, taking β B + (1 - β) G instead of B.
        weight_decay: Decoupled decay λ, for every kind of parameter.
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
        lr: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        scale: Scale = "kj",
        adamw_lr_ratio: float = 0.1,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (ema, hyperbolic_cosine_norm, rescale), (adamw,))


class HybridAuON(MatrixOptimizer):
    """AuON after a few quintic Newton-Schulz steps, which lift the small singular values.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate, the Frobenius norm of the change of a matrix.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        nesterov: Whether to look ahead, taking β B + (1 - β) G instead of B.
        polar_steps: Newton-Schulz steps (3.4445, -4.7750, 2.0315).
        weight_decay: Decoupled decay λ, for every kind of parameter.
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
        lr: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = False,
        polar_steps: int = 1,
        weight_decay: float = 0.0,
        scale: Scale = "kj",
        adamw_lr_ratio: float = 0.1,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (ema, few_newton_schulz_steps, hyperbolic_cosine_norm, rescale), (adamw,))
