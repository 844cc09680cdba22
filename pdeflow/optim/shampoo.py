"""Preconditioners of both sides of a matrix, kept as running covariances: Shampoo, KL-Shampoo, SOAP, FISMO.

Gupta, Koren, Singer, Shampoo, ICML 2018, algorithm 1; Lin et al., KL-Shampoo, arXiv 2509.03378; Vyas et al., SOAP,
arXiv 2409.11321, algorithm 3; FISMO, arXiv 2601.21750.
"""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdeflow.optim.chain import MatrixOptimizer
from pdeflow.optim.matrix_maps import fixed_rms, orthogonalize, rescale
from pdeflow.optim.momentum import adamw, ema
from pdeflow.optim.polar import PolarDtype, PolarMethod
from pdeflow.optim.settings import Scale, options
from pdeflow.optim.whitening import (
    colour_by_fisher,
    rotate_adam,
    whiten_by_fisher,
    whiten_by_kl_covariances,
    whiten_by_quarter_roots,
)


class Shampoo(MatrixOptimizer):
    """L^(-1/4) M R^(-1/4) with L, R averages of G Gᴴ and Gᴴ G, M the momentum.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of about unit size.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        statistics_decay: Decay of the covariances; 1 sums them up, as the first paper does.
        damping: Added to the covariances, times their mean eigenvalue.
        refresh: Steps between eigendecompositions.
        weight_decay: Decoupled decay λ, for every kind of parameter.
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
        statistics_decay: float = 0.95,
        damping: float = 1e-4,
        refresh: int = 5,
        weight_decay: float = 0.0,
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (ema, whiten_by_quarter_roots), (adamw,))


class KLShampoo(MatrixOptimizer):
    """S_a^(-1/2) M S_b^(-1/2) with S_a, S_b the covariances whose Kronecker product is nearest to that of the gradients.

    S_a ← β₂ S_a + (1 - β₂) / n G S_b⁻¹ Gᴴ and S_b ← β₂ S_b + (1 - β₂) / m Gᴴ S_a⁻¹ G.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; normalised updates have entries of root mean square 0.2, so about that of AdamW.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        statistics_decay: Decay β₂ of the covariances.
        damping: Added to the covariances, times their mean eigenvalue.
        refresh: Steps between eigendecompositions.
        normalize: Whether each matrix is scaled to root mean square 0.2; if not, updates have entries of about unit size that
            shrink where the gradient has fallen below its past, which suits smooth problems without noise.
        weight_decay: Decoupled decay λ, for every kind of parameter.
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
        statistics_decay: float = 0.95,
        damping: float = 1e-4,
        refresh: int = 5,
        normalize: bool = True,
        weight_decay: float = 0.0,
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        chain = (ema, whiten_by_kl_covariances, fixed_rms) if normalize else (ema, whiten_by_kl_covariances)
        super().__init__(params, options(locals()), chain, (adamw,))


class SOAP(MatrixOptimizer):
    """Adam in the eigenbases of G Gᴴ and Gᴴ G, turned now and then; the first step only looks.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of about unit size.
        betas: Decay rates of the two moments.
        preconditioner_decay: Decay of the covariances.
        eps: Adam's ε in the eigenbases.
        refresh: Steps between turns of the bases.
        weight_decay: Decoupled decay λ, for every kind of parameter.
        adamw_lr_ratio: Learning rate of elementwise parameters over lr.
        adamw_betas: Decay rates of AdamW's two moments.
        adamw_eps: AdamW's ε.

    Raises:
        ValueError: If a setting is out of range, or a view is unknown or does not fit its parameters.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        preconditioner_decay: float = 0.95,
        eps: float = 1e-8,
        refresh: int = 10,
        weight_decay: float = 0.0,
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (rotate_adam,), (adamw,))


class FISMO(MatrixOptimizer):
    """P^(-1/2) polar(M) Q^(-1/2), M the average of P^(-1/2) G Q^(-1/2), with P, Q covariances of trace m and n.

    Covariances are normalised before they are damped: with absolute damping, as printed, the method diverged.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of root mean square 0.2, so about that of AdamW.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        statistics_decay: Decay of the covariances.
        damping: Added to the covariances, times their mean eigenvalue.
        refresh: Steps between eigendecompositions.
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
        statistics_decay: float = 0.95,
        damping: float = 1e-2,
        refresh: int = 5,
        weight_decay: float = 0.0,
        polar: PolarMethod = "auto",
        polar_steps: int = 8,
        polar_dtype: PolarDtype = "same",
        scale: Scale = "rms",
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (whiten_by_fisher, ema, orthogonalize, colour_by_fisher, rescale), (adamw,))
