"""Linear elasticity: -∇·σ = f with σ = λ (∇·u) I + 2 μ ε(u), in plane strain, plane stress or three dimensions.

Ern and Guermond, Theory and Practice of Finite Elements (2004), section 3.4.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pdeflow.discretization.finite_element.coefficients import Coefficient, values_at_points
from pdeflow.discretization.finite_element.vector_boundary import (
    VectorBoundary,
    VectorValue,
    prescribed_values,
    traction_load,
)
from pdeflow.discretization.finite_element.vector_space import VectorSpace
from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem


def plane_strain(young: float, poisson: float) -> tuple[float, float]:
    """Return the Lamé coefficients (λ, μ) of a long body or of three dimensions.

    Args:
        young: Young's modulus E, in units of stress.
        poisson: Poisson's ratio, dimensionless, between -1 and 1/2.

    Raises:
        UsageError: If the ratio or the modulus is out of range.
    """
    if not (young > 0 and -1 < poisson < 0.5):
        raise UsageError(
            f"need E > 0 and -1 < ν < 1/2 (use plane stress or Stokes at 1/2), got {young}, {poisson}"
        )
    return young * poisson / ((1 + poisson) * (1 - 2 * poisson)), young / (2 * (1 + poisson))


def plane_stress(young: float, poisson: float) -> tuple[float, float]:
    """Return the Lamé coefficients (λ*, μ) of a thin plate, λ* = E ν / (1 − ν²); incompressible ν = 1/2 is allowed.

    Args:
        young: Young's modulus E, in units of stress.
        poisson: Poisson's ratio, dimensionless, above -1 and at most 1/2.

    Raises:
        UsageError: If the ratio or the modulus is out of range.
    """
    if not (young > 0 and -1 < poisson <= 0.5):
        raise UsageError(f"need E > 0 and -1 < ν <= 1/2, got {young}, {poisson}")
    return young * poisson / (1 - poisson**2), young / (2 * (1 + poisson))


def isotropic_modulus(lame_lambda: Tensor, mu: Tensor, dim: int) -> Tensor:
    """Return C_ikjl = λ δ_ik δ_jl + μ (δ_ij δ_kl + δ_il δ_jk), shape (*λ.shape, d, d, d, d).

    Args:
        lame_lambda: λ, any shape.
        mu: μ, a shape that broadcasts with it.
        dim: Number of coordinates d.
    """
    eye = torch.eye(dim, dtype=torch.float64)
    trace = torch.einsum("ik,jl->ikjl", eye, eye)
    strain = torch.einsum("ij,kl->ikjl", eye, eye) + torch.einsum("il,jk->ikjl", eye, eye)
    return lame_lambda[..., None, None, None, None] * trace + mu[..., None, None, None, None] * strain


def elasticity_system(
    space: VectorSpace,
    lame_lambda: Coefficient,
    mu: Coefficient,
    body_force: VectorValue,
    boundary: VectorBoundary,
) -> LinearSystem:
    """Assemble linear elasticity; `x.reshape(-1, d)` is the displacement at `space.scalar.points`.

    Args:
        space: Vector space; P2 or Q2 unless the material is far from incompressible.
        lame_lambda: λ, in units of stress.
        mu: Shear modulus μ, positive, in units of stress.
        body_force: f, values of shape (d,), in units of force per volume.
        boundary: VectorDirichlet or Traction on each facet tag.

    Returns:
        Symmetric system; the rigid motions that the boundary leaves free are its null space.

    Raises:
        UsageError: If a tag or shape does not fit, or the material is not stable (μ > 0 and d λ + 2 μ > 0).

    Reference: Ern and Guermond (2004), eq. (3.47)-(3.50).
    """
    x = space.scalar.quadrature_points
    first = values_at_points(lame_lambda, x, [()], "the coefficient λ").detach()
    shear = values_at_points(mu, x, [()], "the shear modulus μ").detach()
    if not (bool((shear > 0).all()) and bool((space.dim * first + 2 * shear > 0).all())):
        raise UsageError(
            f"the material is not stable: smallest μ {float(shear.min()):.3g}, "
            f"smallest dλ + 2μ {float((space.dim * first + 2 * shear).min()):.3g}; both must be positive"
        )
    matrix = space.tangent(isotropic_modulus(first, shear, space.dim))
    dofs, values = prescribed_values(space, boundary)
    b = space.load(body_force) + traction_load(space, boundary)
    if dofs.size:
        matrix, b = space.pattern.elimination(dofs).apply(matrix, b, values)
    free = free_rigid_motions(space, dofs)
    return LinearSystem(
        A=matrix,
        b=b,
        symmetric=True,
        positive_definite=True,
        nullspace=free if free.shape[1] else None,
        layout=space.layout,
    )


def rigid_motions(space: VectorSpace) -> np.ndarray:
    """Return translations and infinitesimal rotations about the centre, shape (n, d (d + 1) / 2).

    Args:
        space: The space.
    """
    x = space.scalar.points.numpy()
    x, d = x - x.mean(axis=0), space.dim
    columns = [np.tile(np.eye(d)[e], (len(x), 1)) for e in range(d)]
    for i in range(d):
        for j in range(i + 1, d):
            turn = np.zeros_like(x)
            turn[:, i], turn[:, j] = -x[:, j], x[:, i]
            columns.append(turn)
    return np.stack([column.reshape(-1) for column in columns], axis=1)


def free_rigid_motions(space: VectorSpace, dofs: np.ndarray) -> np.ndarray:
    """Return a basis of the rigid motions that vanish at the prescribed degrees of freedom, shape (n, r).

    Args:
        space: The space.
        dofs: Prescribed degrees of freedom.
    """
    motions = np.linalg.qr(rigid_motions(space))[0]
    if not len(dofs):
        return motions
    singular, right = np.linalg.svd(motions[dofs] * np.sqrt(space.n / len(dofs)))[1:]
    kept = np.ones(len(right), dtype=bool)
    kept[: len(singular)] = singular < 1e-8
    free = motions @ right[kept].T
    free[dofs] = 0.0
    return free


def strain_stress(
    space: VectorSpace, u: Tensor, lame_lambda: Coefficient, mu: Coefficient
) -> tuple[Tensor, Tensor]:
    """Return ε and σ at the quadrature points, shapes (m, q, d, d); differentiable.

    Args:
        space: The space.
        u: Coefficients, shape (n,).
        lame_lambda: λ.
        mu: μ.

    Raises:
        UsageError: If a shape does not fit.
    """
    slope = space.gradient_at_quadrature(u)
    strain, x = 0.5 * (slope + slope.mT), space.scalar.quadrature_points
    first = values_at_points(lame_lambda, x, [()], "the coefficient λ")
    shear = values_at_points(mu, x, [()], "the shear modulus μ")
    pressure = first * strain.diagonal(dim1=-2, dim2=-1).sum(-1)
    eye = torch.eye(space.dim, dtype=torch.float64)
    return strain, pressure[..., None, None] * eye + 2 * shear[..., None, None] * strain
