"""ARO: a cheap nonlinear step taken in rotated coordinates, the rotation following the momentum.

ARO, Adaptively rotated optimization, arXiv 2602.09006; base step: Scetbon et al., arXiv 2502.06742 (SinkGD).
"""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdeflow.optim.chain import MatrixOptimizer
from pdeflow.optim.matrix_maps import fixed_rms, rotate
from pdeflow.optim.momentum import adamw, ema
from pdeflow.optim.settings import RotationBase, options


class ARO(MatrixOptimizer):
    """R f(Rᴴ M), R the orthogonal factor of M f(Rᴴ M)ᴴ with the last R inside, M the momentum.

    Args:
        params: Parameters or groups; a group may set any of the options below and `matrix_view`.
        lr: Learning rate; the update has entries of root mean square 0.2, so about that of AdamW.
        momentum: Decay β of the averaged gradient B ← β B + (1 - β) G.
        nesterov: Whether to look ahead, taking β B + (1 - β) G instead of B.
        base: The step f: "sinkhorn" (rows and columns of equal length), "sign" or "row_norm".
        alternations: Turns of the sinkhorn step.
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
        nesterov: bool = False,
        base: RotationBase = "sinkhorn",
        alternations: int = 5,
        weight_decay: float = 0.0,
        adamw_lr_ratio: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.999),
        adamw_eps: float = 1e-8,
    ) -> None:
        super().__init__(params, options(locals()), (ema, rotate, fixed_rms), (adamw,))
