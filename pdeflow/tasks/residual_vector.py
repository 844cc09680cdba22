"""The residuals of an elliptic problem at weighted points as one vector, with its Jacobian in the network's weights.

r = (√w_i (N[u] - f)(x_i), …, √w_j (B[u] - g)(x_j), …) / S, so that ‖r‖² is the quadrature of the squared residuals in units of
the solution's size S. Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378 (2019) 686, with quadrature weights as in
Müller and Zeinhofer, ICML 2023 (arXiv 2302.13163).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from pdeflow.discretization.boundary import Condition, Dirichlet, Neumann, Robin, values_at
from pdeflow.errors import UsageError
from pdeflow.geometry.sampling import PointSet
from pdeflow.problems import Elliptic, Instance

Function = Callable[[Tensor], Tensor]
MAX_JACOBIAN = 8e9
"""Bytes of a Jacobian above which it is refused."""
CHUNK = 2048
"""Most points of a block, whose rows of the Jacobian are computed at once."""


@dataclass(frozen=True)
class Block:
    """One kind of residual.

    Attributes:
        name: "interior", or the boundary part.
        x: Points, shape (n, d).
        root: Square roots of the quadrature weights over the scale, shape (n,).
        residual: Maps a function u and points (n, d) to residuals (n,).
    """

    name: str
    x: Tensor
    root: Tensor
    residual: Callable[[Function, Tensor], Tensor]


def blocks_of(
    problem: Elliptic, instance: Instance, points: Mapping[str, PointSet], boundary_weight: float, scale: float
) -> list[Block]:
    """Turn points into weighted residuals: the equation inside, each condition on its part of the boundary.

    Args:
        problem: The equation.
        instance: A draw of its data.
        points: "interior" and "boundary", as `pdeflow.geometry.sampling.Sampler` draws them.
        boundary_weight: Factor of the quadrature weights on the boundary.
        scale: Size S of the solution.

    Returns:
        One block per part, the interior first.

    Raises:
        UsageError: If a condition is neither Dirichlet nor Neumann nor Robin.
    """
    inside, edge = points["interior"], points["boundary"]

    def interior(u: Function, x: Tensor) -> Tensor:
        return problem.residual(u, x, instance)

    blocks = [Block("interior", part.x, part.w.sqrt() / scale, interior) for part in _split(inside)]
    tags, edge_tag = problem.shape(instance).tags, cast(Tensor, edge.tag)
    for tag, condition in problem.boundary(instance).items():
        for part in _split(edge.subset(edge_tag == tags.index(tag))):
            rows = boundary_residual(problem, instance, tag, condition, cast(Tensor, part.normal))
            blocks.append(Block(tag, part.x, (boundary_weight * part.w).sqrt() / scale, rows))
    return blocks


def _split(points: PointSet) -> list[PointSet]:
    """Split points into sets of at most CHUNK; none for no points."""
    return [points.subset(ids) for ids in torch.arange(len(points)).split(CHUNK) if len(ids)]


def boundary_residual(
    problem: Elliptic, instance: Instance, tag: str, condition: Condition, normal: Tensor
) -> Callable[[Function, Tensor], Tensor]:
    """Return the residual of a boundary condition as a function of u and points.

    Args:
        problem: Gives the flux -a∇u.
        instance: A draw.
        tag: Name of the part.
        condition: u = value, a ∂u/∂n = value, or a ∂u/∂n + coefficient u = value.
        normal: Outward unit normals, shape (n, d).

    Raises:
        UsageError: If the condition is of another kind.
    """
    what = f"the boundary value on {tag!r}"
    if isinstance(condition, Dirichlet):
        return lambda u, x: u(x) - values_at(condition.value, x, what)
    if not isinstance(condition, Neumann | Robin):
        raise UsageError(f"PhysicsInformed knows Dirichlet, Neumann and Robin conditions, got {condition} on {tag!r}")

    def inflow(u: Function, x: Tensor) -> Tensor:
        missing = -(problem.flux(u, x, instance) * normal).sum(1) - values_at(condition.value, x, what)
        return missing + values_at(condition.coefficient, x, what) * u(x) if isinstance(condition, Robin) else missing

    return inflow


class ResidualVector:
    """r(θ) of one network on fixed points, for optimizers that need more than the gradient of ½‖r‖².

    Args:
        network: Maps points (..., d) to values (..., 1); each point's value depends on that point only.
        blocks: What is measured where.
    """

    def __init__(self, network: nn.Module, blocks: Sequence[Block]) -> None:
        self.network, self.blocks = network, list(blocks)
        self.names = {id(p): name for name, p in network.named_parameters()}

    def __len__(self) -> int:
        return sum(len(block.x) for block in self.blocks)

    def residual(self) -> Tensor:
        """Return r at the network's weights, shape (N,), differentiable in them; values that are not finite stay."""
        parts = [block.root * block.residual(self._values, block.x) for block in self.blocks]
        return torch.cat(parts).to(self.blocks[0].x.dtype)  # data of a problem may be float64

    def residual_of_zero(self) -> Tensor:
        """Return r of u = 0, the size of the data, shape (N,)."""
        return torch.cat([block.root * block.residual(_zero, block.x).detach() for block in self.blocks])

    def jacobian(self, params: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return r and J = ∂r/∂θ by one reverse pass in which every point has its own copy of the weights.

        Args:
            params: Parameters of the network; their order is that of the columns.

        Returns:
            r, shape (N,), and J, shape (N, P).

        Raises:
            UsageError: If J needs more than MAX_JACOBIAN bytes, or a residual is not finite.
        """
        size = len(self) * sum(p.numel() for p in params) * params[0].element_size()
        if size > MAX_JACOBIAN:
            raise UsageError(
                f"the Jacobian of {len(self)} residuals needs {size / 1e9:.1f} GB; take fewer points or a smaller network"
            )
        rows = [self._rows(block, params) for block in self.blocks]
        return torch.cat([r for r, _ in rows]), torch.cat([jacobian for _, jacobian in rows])

    def _values(self, x: Tensor) -> Tensor:
        return self.network(x).squeeze(-1)

    def _rows(self, block: Block, params: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        count = len(block.x)
        copies = [p.detach().expand(count, *p.shape).requires_grad_() for p in params]
        named = {self.names[id(p)]: copy for p, copy in zip(params, copies, strict=True)}

        def value(weights: dict[str, Tensor], point: Tensor) -> Tensor:
            return functional_call(self.network, weights, (point,)).squeeze(-1)

        with torch.enable_grad():
            r = block.root * block.residual(partial(vmap(value), named), block.x)
            check_finite(block, r)
            grads = torch.autograd.grad(r.sum(), copies, allow_unused=True, materialize_grads=True)
        return r.detach().to(block.x.dtype), torch.cat([grad.reshape(count, -1) for grad in grads], dim=1)


def _zero(x: Tensor) -> Tensor:
    return 0 * x.sum(1)


def check_finite(block: Block, r: Tensor) -> None:
    """Refuse residuals that are not finite.

    Args:
        block: Where they were taken.
        r: The residuals, shape (n,).

    Raises:
        UsageError: Names the block and the first point.
    """
    finite = torch.isfinite(r.detach())
    if not bool(finite.all()):
        first = int((~finite).nonzero()[0])
        raise UsageError(
            f"the residual is {r[first].item()} in {int((~finite).sum())} of {len(r)} {block.name} points, first at "
            f"{tuple(block.x[first].tolist())}; lower optimizer.lr"
        )
