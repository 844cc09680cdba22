"""What a random walk needs of an elliptic problem: Δ U - σ U = -g with U = √a u, for variable a.

Sawhney, Seyb, Jarosz and Crane, Grid-free Monte Carlo for PDEs with spatially varying coefficients, ACM Trans. Graph. 41
(2022), eq. (10)-(11).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.problems.differentiate import divergence, gradient
from pdeflow.problems.elliptic import Elliptic
from pdeflow.problems.instance import At, Instance


@dataclass(frozen=True)
class WalkCoefficients:
    """Functions of points (n, d) with values (n,).

    Attributes:
        scale: √a: U = scale · u turns boundary values of u into those of U.
        screening: σ, in one over length squared.
        source: g, the right-hand side of the transformed equation.
    """

    scale: Callable[[Tensor], Tensor]
    screening: Callable[[Tensor], Tensor]
    source: Callable[[Tensor], Tensor]


def walk_coefficients(problem: Elliptic, instance: Instance) -> WalkCoefficients:
    """Transform -∇·(a∇u) + c u = f into Δ U - σ U = -g.

    Args:
        problem: An elliptic problem without convection.
        instance: A draw whose a is twice differentiable.

    Returns:
        σ = c/a + ½ (Δa/a - ½ |∇ln a|²) and g = f/√a.

    Raises:
        UsageError: If the problem has convection, or a jumps.

    Reference: Sawhney et al. (2022), eq. (11).
    """
    if problem.velocity(instance, At(instance, problem.probe)) is not None:
        raise UsageError(f"{type(problem).__name__} has convection; the walk needs -∇·(a∇u) + c u = f")

    def coefficient(x: Tensor) -> Tensor:
        return problem.coefficient(instance, At(instance, x)).expand(len(x))

    @torch.enable_grad()
    def screening(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        a = coefficient(x)
        slope = gradient(a, x)
        c = problem.reaction(instance, At(instance, x))
        sigma = 0.5 * (divergence(slope, x) / a - 0.5 * (slope / a[:, None]).pow(2).sum(1))
        return sigma.detach() if c is None else (sigma + c / a).detach()

    def source(x: Tensor) -> Tensor:
        return problem.source(instance, At(instance, x)).expand(len(x)) / coefficient(x).sqrt()

    return WalkCoefficients(lambda x: coefficient(x).sqrt(), screening, source)

