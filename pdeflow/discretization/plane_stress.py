"""Elastic solids in plane stress: the linear one, and the incompressible Rivlin-Saunders (Mooney-Rivlin) solid.

Rivlin and Saunders, Phil. Trans. R. Soc. A 243 (1951) 251; plane stress and incompressibility, C33 = 1/J² with J the
determinant of the in-plane deformation gradient, are put into the energy, as in Bonet and Wood, Nonlinear Continuum
Mechanics for Finite Element Analysis, 2nd ed. (2008), section 6.6. Everything is a function of the displacement gradient
G = F - I and written in small quantities, so that no digits are lost at small strains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

IDENTITY = torch.eye(2, dtype=torch.float64)
FOURTH = torch.einsum("ik,JL->iJkL", IDENTITY, IDENTITY)  # ∂F/∂F
TRANSPOSING = torch.einsum("iL,Jk->iJkL", IDENTITY, IDENTITY)  # ∂Fᵀ/∂F
_EPSILON = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
COFACTOR = torch.einsum("ik,JL->iJkL", _EPSILON, _EPSILON)  # ∂H/∂F with H = cof F = J F^{-T}


class Material(Protocol):
    """Stored energy of the displacement gradient G = ∂u_i/∂x_J, shape (..., 2, 2), with its derivatives."""

    def energy(self, G: Tensor) -> Tensor:
        """Return W per reference area and thickness, shape (...,)."""
        ...

    def stress(self, G: Tensor) -> Tensor:
        """Return the nominal stress P = ∂W/∂G, shape (..., 2, 2)."""
        ...

    def tangent(self, G: Tensor) -> Tensor:
        """Return ∂P/∂G, shape (..., 2, 2, 2, 2), with major symmetry."""
        ...

    def true_stress(self, G: Tensor) -> Tensor:
        """Return the stress in the deformed solid, shape (..., 2, 2), symmetric."""
        ...

    def admissible(self, G: Tensor) -> bool:
        """Whether the energy is defined at every G."""
        ...


@dataclass(frozen=True)
class LinearElastic:
    """σ = 2μ ε + λ* tr(ε) I in the plane, with λ* = 2μλ/(2μ + λ).

    Attributes:
        shear: μ, in stress units.
        lame: λ*, in stress units; 2μ for an incompressible solid.
    """

    shear: float
    lame: float

    def energy(self, G: Tensor) -> Tensor:
        """Return W = μ |ε|² + λ*/2 (tr ε)² per area and thickness, shape (...,)."""
        strain = 0.5 * (G + G.mT)
        return self.shear * (strain**2).sum((-2, -1)) + 0.5 * self.lame * _trace(G) ** 2

    def stress(self, G: Tensor) -> Tensor:
        """Return σ, shape (..., 2, 2)."""
        return self.shear * (G + G.mT) + self.lame * _trace(G)[..., None, None] * IDENTITY

    def tangent(self, G: Tensor) -> Tensor:
        """Return ∂σ/∂G, the same for every G, shape (..., 2, 2, 2, 2)."""
        constant = self.shear * (FOURTH + TRANSPOSING) + self.lame * _outer(IDENTITY, IDENTITY)
        return constant.expand(*G.shape[:-2], 2, 2, 2, 2)

    def true_stress(self, G: Tensor) -> Tensor:
        """Return σ, shape (..., 2, 2); it is not distinguished from the nominal stress."""
        return self.stress(G)

    def admissible(self, G: Tensor) -> bool:
        """Return whether G is finite."""
        return bool(torch.isfinite(G).all())


@dataclass(frozen=True)
class RivlinSaunders:
    """W = C1 (tr C + J⁻² - 3) + C2 (J² + tr C J⁻² - 3), C = FᵀF: incompressible, in plane stress.

    With H = cof F, P = a F + b H, a = 2 C1 + 2 C2 J⁻² and b = -2 C1 J⁻³ + 2 C2 (J - tr C J⁻³).

    Attributes:
        c1: C1, in stress units.
        c2: C2, in stress units; the shear modulus at rest is 2 (C1 + C2).
    """

    c1: float
    c2: float

    def linear(self) -> LinearElastic:
        """Return the linear solid that this one is at small strains: μ = 2 (C1 + C2), λ* = 2μ."""
        shear = 2 * (self.c1 + self.c2)
        return LinearElastic(shear, 2 * shear)

    def energy(self, G: Tensor) -> Tensor:
        """Return W per reference area and thickness, shape (...,); zero at rest and under rotations."""
        j, trace, d2, _ = _small(G)
        return self.c1 * (trace + d2) + self.c2 * (j * (2 + j) + trace * (1 + d2) + 2 * d2)

    def stress(self, G: Tensor) -> Tensor:
        """Return the nominal stress P = (a + b) I + a G + b cof G, shape (..., 2, 2)."""
        a, b, both = (factor[..., None, None] for factor in self._factors(G))
        return both * IDENTITY + a * G + b * _cofactor(G)

    def tangent(self, G: Tensor) -> Tensor:
        """Return ∂P/∂G, shape (..., 2, 2, 2, 2)."""
        F, H = IDENTITY + G, IDENTITY + _cofactor(G)
        J, trace = torch.linalg.det(F), (F**2).sum((-2, -1))
        c = 6 * self.c1 / J**4 + self.c2 * (2 + 6 * trace / J**4)
        a, b, _ = self._factors(G)
        a, b, c, J = (factor[..., None, None, None, None] for factor in (a, b, c, J))
        mixed = _outer(F, H) + _outer(H, F)
        return a * FOURTH + b * COFACTOR + c * _outer(H, H) - 4 * self.c2 / J**3 * mixed

    def true_stress(self, G: Tensor) -> Tensor:
        """Return the Cauchy stress P Fᵀ (the determinant in space is one), shape (..., 2, 2)."""
        return self.stress(G) @ (IDENTITY + G.mT)

    def admissible(self, G: Tensor) -> bool:
        """Return whether det F > 0 everywhere: W is even in J, so it would not notice an inverted element."""
        return bool(torch.isfinite(G).all()) and bool((_small(G)[0] > -1).all())

    def _factors(self, G: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return a, b and a + b, which vanishes at rest, each (...,)."""
        j, trace, d2, d3 = _small(G)
        a = 2 * (self.c1 + self.c2 * (1 + d2))
        change = self.c2 * (j - trace - (2 + trace) * d3) - self.c1 * d3
        return a, -2 * (self.c1 + self.c2) + 2 * change, 2 * (self.c2 * d2 + change)


def von_mises(stress: Tensor) -> Tensor:
    """Return √(σ₁₁² + σ₂₂² - σ₁₁σ₂₂ + 3σ₁₂²) of plane stress, shape (..., 2, 2) -> (...,)."""
    s11, s22, s12 = stress[..., 0, 0], stress[..., 1, 1], 0.5 * (stress[..., 0, 1] + stress[..., 1, 0])
    return torch.sqrt(s11**2 + s22**2 - s11 * s22 + 3 * s12**2)


def _small(G: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return J - 1, tr C - 2, J⁻² - 1 and J⁻³ - 1, each (...,), to full relative accuracy at small G."""
    j = _trace(G) + torch.linalg.det(G)
    J = 1 + j
    return j, 2 * _trace(G) + (G**2).sum((-2, -1)), -j * (2 + j) / J**2, -j * (3 + 3 * j + j**2) / J**3


def _trace(tensor: Tensor) -> Tensor:
    return tensor[..., 0, 0] + tensor[..., 1, 1]


def _cofactor(F: Tensor) -> Tensor:
    first = torch.stack([F[..., 1, 1], -F[..., 1, 0]], dim=-1)
    return torch.stack([first, torch.stack([-F[..., 0, 1], F[..., 0, 0]], dim=-1)], dim=-2)


def _outer(A: Tensor, B: Tensor) -> Tensor:
    return torch.einsum("...iJ,...kL->...iJkL", A, B)
