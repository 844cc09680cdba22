"""Fourth-order exponential Runge-Kutta methods, exact for u' = L u whatever the step.

Cox and Matthews, J. Comput. Phys. 176 (2002), 430, eq. (26)-(29) (ETDRK4), with the contour integrals of Kassam and
Trefethen, SIAM J. Sci. Comput. 26 (2005), 1214, section 3.1; integrating factor (IFRK4): the same paper, section 2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdeflow.discretization.time_stepping.equation import SemilinearEquation

CONTOUR_POINTS = 32
"""Points on the unit circle around each L dt; their mean is accurate to rounding."""


class ETDRK4:
    """Exponential time differencing of order four."""

    order = 4

    def __init__(self, equation: SemilinearEquation, dt: float) -> None:
        """Prepare the coefficients of one step size.

        Args:
            equation: What to integrate.
            dt: Step, in time units.
        """
        self.equation, self.dt = equation, dt
        z = dt * equation.symbol
        full = (z.exp(), (z / 2).exp(), *(dt * part for part in etdrk4_coefficients(z)))
        self._full, self._half, self._stage, self._first, self._middle, self._last = (
            in_precision(part, equation.dtype) for part in full
        )

    def step(self, u_hat: Tensor, t: float) -> Tensor:
        """Advance by dt.

        Args:
            u_hat: State, shape (*batch, *symbol.shape).
            t: Time of the state.

        Returns:
            State at t + dt.
        """
        explicit, middle = self.equation.explicit, t + self.dt / 2
        at_start = explicit(u_hat, t)
        decayed = self._half * u_hat
        a = torch.addcmul(decayed, self._stage, at_start)
        at_a = explicit(a, middle)
        at_b = explicit(torch.addcmul(decayed, self._stage, at_a), middle)
        c = torch.addcmul(self._half * a, self._stage, 2 * at_b - at_start)
        found = torch.addcmul(self._full * u_hat, self._first, at_start)
        found = torch.addcmul(found, self._middle, at_a + at_b)
        return torch.addcmul(found, self._last, explicit(c, t + self.dt))


class IFRK4:
    """Classical Runge-Kutta of order four in the variable exp(-L t) u."""

    order = 4

    def __init__(self, equation: SemilinearEquation, dt: float) -> None:
        """Prepare the factors of one step size.

        Args:
            equation: What to integrate.
            dt: Step, in time units.
        """
        self.equation, self.dt = equation, dt
        z = dt * equation.symbol
        self._full, self._half = (in_precision(part, equation.dtype) for part in (z.exp(), (z / 2).exp()))

    def step(self, u_hat: Tensor, t: float) -> Tensor:
        """Advance by dt.

        Args:
            u_hat: State, shape (*batch, *symbol.shape).
            t: Time of the state.

        Returns:
            State at t + dt.
        """
        explicit, dt, half, middle = self.equation.explicit, self.dt, self._half, t + self.dt / 2
        k1 = explicit(u_hat, t)
        k2 = explicit(half * (u_hat + dt / 2 * k1), middle)
        k3 = explicit(half * u_hat + dt / 2 * k2, middle)
        k4 = explicit(self._full * u_hat + dt * half * k3, t + dt)
        return self._full * (u_hat + dt / 6 * k1) + dt / 3 * half * (k2 + k3) + dt / 6 * k4


def etdrk4_coefficients(z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the four functions of z = L dt that weigh N in ETDRK4, as means over a circle around z.

    Args:
        z: Real or complex, any shape, float64 or complex128.

    Returns:
        φ₁(z/2)/2 of the stages and the weights of N at the start, at each middle stage and at the end, all of z's
        shape and type, dimensionless; at z = 0 they are 1/2, 1/6, 1/3, 1/6.

    Reference: Kassam and Trefethen (2005), eq. (2.5) and (3.2).
    """
    total = [torch.zeros_like(z, dtype=torch.complex128) for _ in range(4)]
    for j in range(CONTOUR_POINTS):
        angle = 2 * math.pi * (j + 0.5) / CONTOUR_POINTS
        r = z + complex(math.cos(angle), math.sin(angle))
        e, cube = r.exp(), r**3
        total[0] += ((r / 2).exp() - 1) / r
        total[1] += (-4 - r + e * (4 - 3 * r + r**2)) / cube
        total[2] += 2 * (2 + r + e * (r - 2)) / cube
        total[3] += (-4 - 3 * r - r**2 + e * (4 - r)) / cube
    means = [part / CONTOUR_POINTS for part in total]
    stage, first, middle, last = means if z.is_complex() else [part.real for part in means]
    return stage, first, middle, last


def in_precision(factor: Tensor, dtype: torch.dtype) -> Tensor:
    """Round a real or complex table to the real type of the arithmetic."""
    if not factor.is_complex():
        return factor.to(dtype)
    return factor.to(torch.complex64 if dtype == torch.float32 else torch.complex128)
