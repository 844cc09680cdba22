"""Point values of a finite element function and its distance from an exact solution.

Brenner and Scott, The Mathematical Theory of Finite Element Methods, 3rd ed. (2008), section 4.4 (what the norms converge like).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pdeflow.discretization.finite_element.cell_tables import CellTables
from pdeflow.discretization.finite_element.coefficients import values_at_points
from pdeflow.discretization.finite_element.reference import basis_at
from pdeflow.errors import UsageError


def evaluate(space: CellTables, u: Tensor, x: Tensor) -> Tensor:
    """Evaluate u_h at points inside the mesh; see FEMSpace.evaluate.

    Args:
        space: The space.
        u: Coefficients, shape (…, n).
        x: Points, shape (Q, d).

    Raises:
        UsageError: If a point lies outside the mesh or x has another shape.
    """
    x = torch.as_tensor(x, dtype=torch.float64)
    if x.ndim != 2 or x.shape[1] != space.dim:
        raise UsageError(f"x has shape {tuple(x.shape)}, expected (points, {space.dim})")
    cells = space.mesh.locate(x)[0].numpy()
    outside = np.flatnonzero(cells < 0)
    if outside.size:
        raise UsageError(
            f"{outside.size} of {len(x)} points lie outside the mesh, first {x[outside[0]].tolist()}"
        )
    mapping = space.skfem_mesh.mapping()
    local = mapping.invF(
        np.ascontiguousarray(x.numpy().T)[:, :, None], tind=cells.astype(np.int32)
    )  # (d, Q, 1)
    basis = torch.from_numpy(basis_at(space.skfem_element, local[:, :, 0])[0]).to(u)
    return (u[..., torch.from_numpy(space.dofs[cells])] * basis).sum(-1)


def error_norm(
    space: CellTables,
    u: Tensor,
    exact: Callable[[Tensor], Tensor],
    norm: str,
    gradient: Callable[[Tensor], Tensor] | None,
) -> float:
    """Return ‖u_h − u‖ in "L2" or "H1" by the quadrature of the space; see FEMSpace.error.

    Args:
        space: The space, whose quadrature is used.
        u: Coefficients, shape (n,).
        exact: Exact solution.
        norm: "L2" or "H1".
        gradient: Its gradient, or None.

    Raises:
        UsageError: If the norm is unknown or a shape does not fit.
    """
    if norm not in ("L2", "H1"):
        raise UsageError(f"norm {norm!r} is unknown; use 'L2' or 'H1'")
    weights, x = torch.from_numpy(space.measure), space.quadrature_points
    difference = space.at_quadrature(u) - values_at_points(exact, x, [()], "the exact solution")
    total = (weights * difference.abs() ** 2).sum()
    if norm == "H1":
        slope = values_at_points(gradient or gradient_of(exact), x, [(space.dim,)], "the gradient")
        total = total + (weights[..., None] * (space.gradient_at_quadrature(u) - slope).abs() ** 2).sum()
    return float(total.detach() ** 0.5)


def gradient_of(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return the gradient of a real or complex function of points by automatic differentiation.

    Args:
        function: Points (n, d) -> (n,), each value depending on its own point only.
    """

    def gradient(x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = function(x)
            parts = [value.real, value.imag] if value.is_complex() else [value]
            found = [torch.autograd.grad(part.sum(), x, retain_graph=True)[0] for part in parts]
        return torch.complex(*found) if len(found) == 2 else found[0]

    return gradient
