"""Part of a matrix per step, chosen without singular vectors: rows by size, or discrete cosine modes by size.

Dion2: Ahn, Amsel, Langford, arXiv 2512.16928; Trion and DCT-AdamW: Modoranu et al., FFT-based dynamic subspace selection,
arXiv 2505.17967.
"""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdeflow.optim.chain import MatrixOptimizer
from pdeflow.optim.matrix_maps import rescale
from pdeflow.optim.momentum import adamw
from pdeflow.optim.polar import PolarDtype, PolarMethod
from pdeflow.optim.settings import Scale, options
from pdeflow.optim.subspaces import adam_on_cosine_modes, polar_of_cosine_modes, polar_of_largest_rows


class Dion2(MatrixOptimizer):
    """Polar factor of the largest rows (columns, if fewer) of a momentum whose other rows go on summing up.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of root mean square 0.2, so about that of AdamW.
        momentum: What is left of the momentum in the rows that were used.
        fraction: Share of the rows used per step.
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
        fraction: float = 0.25,
        weight_decay: float = 0.0,
        polar: PolarMethod = "auto",
        polar_steps: int = 4,
        polar_dtype: PolarDtype = "same",
        scale: Scale = "rms",
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (polar_of_largest_rows, rescale), (adamw,))


class Trion(MatrixOptimizer):
    """Polar factor of the momentum on its largest discrete cosine modes along fan-in; the others go on summing up.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of root mean square 0.2, so about that of AdamW.
        momentum: What is left of the momentum in the modes that were used.
        rank: Modes used per step, at most fan-in.
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
        rank: int = 16,
        weight_decay: float = 0.0,
        polar: PolarMethod = "auto",
        polar_steps: int = 4,
        polar_dtype: PolarDtype = "same",
        scale: Scale = "rms",
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (polar_of_cosine_modes, rescale), (adamw,))


class DCTAdamW(MatrixOptimizer):
    """Adam on the largest discrete cosine modes of the gradient along fan-in; moments have m × rank entries.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of about unit size.
        betas: Decay rates of the two moments.
        eps: Adam's ε on the modes.
        rank: Modes per step, at most fan-in.
        error_feedback: Whether what is left out is added to the next gradient.
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
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        rank: int = 16,
        error_feedback: bool = True,
        weight_decay: float = 0.0,
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (adam_on_cosine_modes,), (adamw,))
