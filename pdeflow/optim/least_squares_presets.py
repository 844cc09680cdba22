"""Published residual-space optimizers as settings of GaussNewton: each differs from it in its defaults only."""

from __future__ import annotations

from torch.optim.optimizer import ParamsT

from pdeflow.optim.damped_least_squares import Solver
from pdeflow.optim.damping_rules import LineSearch
from pdeflow.optim.gauss_newton import GaussNewton


class ENGDW(GaussNewton):
    """Energy natural gradient descent by Woodbury's identity: d = Jᵀ(JJᵀ + λI)⁻¹r, the best step of 1, ½, …, 2⁻³⁰ along it.

    Müller and Zeinhofer, ICML 2023 (arXiv 2302.13163); Guzmán-Cordero et al., arXiv 2505.12149.

    Args:
        params: Real parameters of one type.
        lr: Factor of every step.
        damping: λ; 1e-7 suits float64 residuals of order one (1e-8 now and then stalls), 1e-3 … 1e-6 float32.
        solver: "kernel" is the published form, (N, N); "auto" takes QR where there are more residuals than parameters.
        line_search: As in GaussNewton.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        damping: float = 1e-7,
        solver: Solver = "auto",
        line_search: LineSearch = "grid",
    ) -> None:
        super().__init__(params, lr=lr, damping=damping, solver=solver, line_search=line_search)


class SPRING(GaussNewton):
    """ENGD-W whose steps remember the last: φ = μφ₋ + Jᵀ(JJᵀ + λI)⁻¹(r - μJφ₋), restarted where it does not descend.

    Goldshlager, Abrahamsen and Lin, J. Comput. Phys. 516 (2024) 113351; arXiv 2505.12149.

    Args:
        params: Real parameters of one type.
        lr: Factor of every step.
        damping: λ.
        momentum: μ.
        solver: As in GaussNewton.
        line_search: As in GaussNewton.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        damping: float = 1e-8,
        momentum: float = 0.8,
        solver: Solver = "auto",
        line_search: LineSearch = "grid",
    ) -> None:
        super().__init__(
            params, lr=lr, damping=damping, momentum=momentum, solver=solver, line_search=line_search
        )


class Sven(GaussNewton):
    """The shortest step that satisfies the linearised equations of the leading singular values: d = J⁺r, truncated.

    arXiv 2604.01279, here with the squares' residuals and a line search, without which it diverges on PDEs.

    Args:
        params: Real parameters of one type.
        lr: Factor of every step.
        rcond: Relative size up to which singular values are dropped.
        rank: Most that are kept; None keeps all.
        line_search: As in GaussNewton.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        rcond: float = 1e-6,
        rank: int | None = None,
        line_search: LineSearch = "grid",
    ) -> None:
        super().__init__(
            params, lr=lr, damping=0.0, solver="svd", rcond=rcond, rank=rank, line_search=line_search
        )


class LevenbergMarquardt(GaussNewton):
    """Gauss-Newton whose damping λ falls to λ/3 after a step that lowers the loss, and rises to 4λ after one that does not.

    Moré, LNM 630 (1978) 105; geodesic acceleration: Transtrum and Sethna, arXiv 1201.5885.

    Args:
        params: Real parameters of one type.
        lr: Factor of every step.
        damping: First λ.
        solver: As in GaussNewton.
        geodesic: Whether the step follows the curvature of the residuals; one more evaluation per trial.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        damping: float = 1e-2,
        solver: Solver = "auto",
        geodesic: bool = True,
    ) -> None:
        super().__init__(
            params, lr=lr, damping=damping, solver=solver, damping_rule="lm", geodesic=geodesic
        )


class GradientSmoothness(GaussNewton):
    """Gauss-Newton with λ = ‖g‖/γ: γ doubles after a step with L - L⁺ ≥ ‖g⁺‖²/(8λ) and halves after another; it always converges.

    arXiv 2506.13710.

    Args:
        params: Real parameters of one type.
        gamma: First γ.
        lr: Factor of every step.
        solver: As in GaussNewton.
    """

    def __init__(
        self, params: ParamsT, gamma: float = 1e3, lr: float = 1.0, solver: Solver = "auto"
    ) -> None:
        super().__init__(params, lr=lr, damping=gamma, solver=solver, damping_rule="gns")
