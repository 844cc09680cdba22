"""Runge-Kutta methods that treat the stiff part L implicitly and the rest N explicitly, orders one to three.

Ascher, Ruuth and Spiteri, Appl. Numer. Math. 25 (1997), 151, sections 2.1, 2.6 and 2.8.
"""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor

from pdeflow.discretization.time_stepping.equation import SemilinearEquation

Table = tuple[tuple[float, ...], ...]

_GAMMA = 1 - math.sqrt(0.5)
_DELTA = 1 - 0.5 / _GAMMA


class ImexRungeKutta:
    """A pair of tableaux whose last stage is the new state.

    Row i of `explicit_table` weighs N at the stages 0 … i - 1 and row i of `implicit_table` weighs L at the stages
    1 … i; stage 0 is the old state. The row sums of `explicit_table` are the times of the stages.
    """

    order: ClassVar[int]
    explicit_table: ClassVar[Table]
    implicit_table: ClassVar[Table]

    def __init__(self, equation: SemilinearEquation, dt: float) -> None:
        """Bind the method to an equation.

        Args:
            equation: What to integrate; it must offer `implicit` and `solve_implicit`.
            dt: Step, in time units.
        """
        self.equation, self.dt = equation, dt

    def step(self, u_hat: Tensor, t: float) -> Tensor:
        """Advance by dt.

        Args:
            u_hat: State, shape (*batch, *symbol.shape).
            t: Time of the state.

        Returns:
            State at t + dt.
        """
        dt, state = self.dt, u_hat
        explicit = [self.equation.explicit(u_hat, t)]
        implicit: list[Tensor] = []
        for i, (row, stiff) in enumerate(zip(self.explicit_table, self.implicit_table, strict=True)):
            known = u_hat
            for weight, slope in zip(row, explicit, strict=True):
                known = known + dt * weight * slope
            for weight, slope in zip(stiff[:-1], implicit, strict=True):
                known = known + dt * weight * slope
            state = self.equation.solve_implicit(known, dt * stiff[-1])
            if i + 1 < len(self.explicit_table):
                explicit.append(self.equation.explicit(state, t + dt * sum(row)))
                implicit.append(self.equation.implicit(state))
        return state


class ImexEuler(ImexRungeKutta):
    """Forward Euler for N with backward Euler for L: order one, unconditionally stable for the stiff part."""

    order = 1
    explicit_table = ((1.0,),)
    implicit_table = ((1.0,),)


class ARS222(ImexRungeKutta):
    """Two stages, order two, L-stable."""

    order = 2
    explicit_table = ((_GAMMA,), (_DELTA, 1 - _DELTA))
    implicit_table = ((_GAMMA,), (1 - _GAMMA, _GAMMA))


class ARS443(ImexRungeKutta):
    """Four stages, order three, L-stable."""

    order = 3
    explicit_table = ((1 / 2,), (11 / 18, 1 / 18), (5 / 6, -5 / 6, 1 / 2), (1 / 4, 7 / 4, 3 / 4, -7 / 4))
    implicit_table = ((1 / 2,), (1 / 6, 1 / 2), (-1 / 2, 1 / 2, 1 / 2), (3 / 2, -3 / 2, 1 / 2, 1 / 2))
