"""Newton's method with Hessian-vector products only: conjugate gradients preconditioned by a randomised Nyström approximation.

Rathore, Lei, Frangella, Lu and Udell, Challenges in training PINNs: a loss landscape perspective, ICML 2024 (arXiv 2402.01868),
NysNewton-CG; Frangella, Tropp and Udell, Randomized Nyström preconditioning, SIAM J. Matrix Anal. Appl. 44 (2023) 718.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from pdeflow.optim.damping_rules import Model, backtrack, finite_loss
from pdeflow.optim.flat_parameters import assign, flatten, trainable, warn_if_single
from pdeflow.optim.gauss_newton import residuals_of

Product = Callable[[Tensor], Tensor]


class NystromNewtonCG(Optimizer):
    """θ ← θ - η d with (∇²L + μI) d = g solved by preconditioned CG, η by Armijo's rule; the last phase of a training.

    `step(closure)` wants a closure that returns residuals, as GaussNewton's; where the Hessian is not positive along a
    search direction, CG stops with what it has.

    Args:
        params: Real parameters of one type; groups are joined.
        lr: First η.
        damping: μ.
        rank: Columns of the Nyström approximation; 0 uses no preconditioner.
        rebuild_every: Steps between new approximations.
        rtol: CG stops at ‖(∇²L + μI) d - g‖ ≤ rtol ‖g‖.
        max_iter: Most CG iterations.
        seed: Root of the random test matrices; step k of a resumed training draws what it would have drawn.

    Attributes:
        requires_residual: True.

    Raises:
        ValueError: If a setting is out of range, or parameters are complex or of several types.
    """

    requires_residual = True

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        damping: float = 1e-6,
        rank: int = 60,
        rebuild_every: int = 20,
        rtol: float = 1e-6,
        max_iter: int = 200,
        seed: int = 0,
    ) -> None:
        if not (0 < lr < math.inf and 0 < damping < math.inf and 0 < rtol < 1):
            raise ValueError(f"lr and damping must be finite and > 0 and rtol in (0, 1), got {lr}, {damping} and {rtol}")
        if rank < 0 or rebuild_every < 1 or max_iter < 1:
            raise ValueError(
                f"rank must be >= 0, rebuild_every and max_iter >= 1, got {rank}, {rebuild_every} and {max_iter}"
            )
        settings = {
            "lr": lr, "damping": damping, "rank": rank, "rebuild_every": rebuild_every, "rtol": rtol,
            "max_iter": max_iter, "seed": seed,
        }  # fmt: skip
        super().__init__(params, settings)
        self.params = trainable(self.param_groups, type(self).__name__)
        warn_if_single(self.params, type(self).__name__)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take one step; the parameters stay where no step lowers the loss.

        Args:
            closure: Returns the residuals.

        Returns:
            L before the step, 0-d.

        Raises:
            ValueError: If the closure returns no residuals.
        """
        system = residuals_of(closure, type(self).__name__)
        group, state, theta = self.param_groups[0], self.state[self.params[0]], flatten(self.params)
        count = state.setdefault("step", 0)
        with torch.enable_grad():
            loss = 0.5 * system.residual().square().sum()
            grads = torch.autograd.grad(loss, self.params, create_graph=True)

        hessian, gradient, rank = hessian_product(grads, self.params), flatten(grads), min(group["rank"], len(theta))
        if rank and count % group["rebuild_every"] == 0:
            generator = torch.Generator().manual_seed(group["seed"] * 2**20 + count)
            state["basis"], state["values"] = nystrom(hessian, theta, rank, generator)
        precondition = preconditioner(state.get("basis"), state.get("values"), group["damping"])
        state["step"] = count + 1
        d = conjugate_gradients(
            lambda v: hessian(v) + group["damping"] * v, gradient, precondition, group["rtol"], group["max_iter"]
        )

        def loss_at(v: Tensor) -> float:
            assign(self.params, theta - v)
            return finite_loss(system.residual())

        d = group["lr"] * d
        eta = backtrack(Model(float(loss), gradient, lambda _: d, loss_at, lambda v: v), d)
        assign(self.params, theta - eta * d)
        return loss.detach()


def hessian_product(grads: Sequence[Tensor], params: Sequence[Tensor]) -> Product:
    """Return v ↦ ∇²L v by a second backward pass through gradients that kept their graph.

    Args:
        grads: ∂L/∂p for every parameter p, with graph.
        params: The parameters, P numbers in all.
    """

    def product(v: Tensor) -> Tensor:
        parts = [part.view_as(p) for part, p in zip(v.split([p.numel() for p in params]), params, strict=True)]
        return flatten(torch.autograd.grad(grads, params, parts, retain_graph=True, materialize_grads=True))

    return product


def nystrom(product: Product, like: Tensor, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Approximate a symmetric matrix by U diag(λ) Uᵀ, clipped to λ ≥ 0.

    Args:
        product: Multiplies a vector by the matrix, (P,) to (P,).
        like: A vector of its kind, shape (P,).
        rank: Columns, at most P.
        generator: Source of the random test matrix, on the CPU.

    Returns:
        U, shape (P, rank), orthonormal, and λ, shape (rank,), descending.

    Reference: Frangella, Tropp and Udell (2023), algorithm 2.1.
    """
    omega = torch.randn(len(like), rank, generator=generator, dtype=torch.float64).to(like)
    q = torch.linalg.qr(omega).Q
    y = torch.stack([product(column) for column in q.T], dim=1)
    shift = math.sqrt(len(like)) * torch.finfo(like.dtype).eps * float(torch.linalg.matrix_norm(y))
    core = q.T @ (y + shift * q)
    values, vectors = torch.linalg.eigh((core + core.T) / 2)
    keep = values > shift  # an indefinite Hessian: the negative part is left out
    half = (y + shift * q) @ vectors[:, keep] / values[keep].sqrt()
    u, s, _ = torch.linalg.svd(half, full_matrices=False)
    return u, (s.square() - shift).clamp(min=0.0)


def preconditioner(basis: Tensor | None, values: Tensor | None, damping: float) -> Product:
    """Return v ↦ U (λ_min + μ)(Λ + μ)⁻¹Uᵀv + (I - UUᵀ)v, the identity without a basis.

    Args:
        basis: U, shape (P, k).
        values: λ, shape (k,).
        damping: μ > 0.

    Reference: Frangella, Tropp and Udell (2023), eq. (1.3).
    """
    if basis is None or values is None or not len(values):
        return lambda v: v
    factors = (values[-1] + damping) / (values + damping) - 1
    return lambda v: v + basis @ (factors * (basis.T @ v))


def conjugate_gradients(product: Product, b: Tensor, precondition: Product, rtol: float, max_iter: int) -> Tensor:
    """Solve A x = b from x = 0, stopping where A is not positive along a direction.

    Args:
        product: Multiplies by A.
        b: Right-hand side, shape (P,).
        precondition: Multiplies by an approximate inverse.
        rtol: Relative residual.
        max_iter: Most iterations.

    Returns:
        x, shape (P,); the preconditioned b where A is not positive along it.

    Reference: Nocedal and Wright (2006), algorithm 7.1.
    """
    x, r = torch.zeros_like(b), b.clone()
    z = p = precondition(r)
    rz, stop = r @ z, rtol * b.norm()
    for k in range(max_iter):
        ap = product(p)
        curvature = p @ ap
        if not float(curvature) > 0:
            return p if k == 0 else x
        alpha = rz / curvature
        x, r = x + alpha * p, r - alpha * ap
        if r.norm() <= stop:
            break
        z = precondition(r)
        rz, before = r @ z, rz
        p = z + (rz / before) * p
    return x
