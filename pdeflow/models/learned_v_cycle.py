"""A geometric multigrid V(1,1) cycle for -∇·(a∇u) = f with eight (in space: thirteen) learned numbers shared by all levels.

One application solves A e ≈ r for the cell-centred five- or seven-point operator of pdeflow.linalg.operators with
homogeneous Dirichlet boundary. It is linear and symmetric by construction, starts as classical multigrid
(damped Jacobi, linear transfer) and reads the coefficient, so trained weights move to other
coefficients and to finer grids.
Briggs, Henson and McCormick, A Multigrid Tutorial, 2nd ed. (2000), chapter 3; the learned parts are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pdeflow.linalg.obstacles import Obstacles
from pdeflow.models.v_cycle_levels import (
    COARSEST_CELLS,
    Level,
    Weights,
    apply_cycle,
    fold,
    linear_interpolation,
    setup_levels,
)
from pdeflow.models.v_cycle_preconditioner import TensorVCycle
from pdeflow.models.v_cycle_steps import VCyclePreconditioner, smoother_range


class LearnedVCycle(nn.Module):
    """Symmetric V(1,1) cycle; its smoother, transfer and correction factor are eight learned numbers, thirteen in space.

    All levels share them. With S = D^(-1/2) K D^(-1/2) and the coarse cycle B, one level applies
    2S - SAS + (I - SA) P B Pᵀ (I - AS). So the cycle is symmetric, and it is positive definite when on every
    level K > 0 and the eigenvalues of SA are below 2, whatever the transfer. Untrained (K = damping < 1) this
    holds for every coefficient; for trained weights the preconditioner's flag `positive` estimates it.

    Args:
        damping: Jacobi damping of the untrained smoother; 0.8 is best for the constant-coefficient stencil.
        coarsest: Levels with at most this many cells are solved exactly.
        dim: Dimensions, 2 or 3.

    Raises:
        ValueError: If damping is not in (0, 1), coarsest is below 4, or dim is not 2 or 3.
    """

    fold: Tensor
    reads_coefficient = True

    def __init__(self, damping: float = 0.8, coarsest: int = COARSEST_CELLS, dim: int = 2) -> None:
        super().__init__()
        if not 0 < damping < 1 or coarsest < 4 or dim not in (2, 3):
            raise ValueError(
                f"expected damping in (0, 1), coarsest >= 4 and dim 2 or 3, got {damping}, {coarsest} and {dim}; "
                f"the defaults are 0.8, {COARSEST_CELLS} and 2"
            )
        self.dim, self.coarsest = dim, coarsest
        self.smoother = nn.Parameter(torch.tensor([damping] + [0.0] * dim))  # K = c (x, 1, x)ᵀ (y, 1, y)
        self.transfer = nn.Parameter(linear_interpolation(dim))
        self.correction = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("fold", fold(dim), persistent=False)

    def forward(self, r: Tensor, coefficient: Tensor, spacing: Sequence[float] = (1.0, 1.0)) -> Tensor:
        """Apply one cycle to residuals of the systems with these coefficients.

        Args:
            r: Residuals in integrated form, shape (batch, 1, *grid).
            coefficient: Positive cell values, shape (batch, 1, *grid) or (1, 1, *grid).
            spacing: Cell widths; in 2-D only their ratio matters.

        Returns:
            Corrections e with A e ≈ r, shape (batch, 1, *grid).

        Raises:
            ValueError: If r and the coefficient differ in their grid, or see setup_levels.
        """
        if r.ndim != self.dim + 2 or r.shape[1:] != coefficient.shape[1:]:
            raise ValueError(
                f"expected residuals of the coefficient's shape {tuple(coefficient.shape)}, got "
                f"{tuple(r.shape)}; both are (batch, 1, *grid)"
            )
        return self.cycle(r, setup_levels(coefficient, spacing, self.coarsest))

    def on(self, coefficient: Tensor, spacing: Sequence[float], obstacles: Obstacles | None = None) -> Callable[[Tensor], Tensor]:
        """Return the map from residuals (batch, 1, *grid) to corrections for a batch of coefficients.

        Args:
            coefficient: Positive cell values, shape (batch, 1, *grid).
            spacing: Cell widths.
            obstacles: Cells that are not in the domain, the same for the batch, or None.

        Raises:
            ValueError: See setup_levels.
        """
        levels = setup_levels(coefficient, spacing, self.coarsest, obstacles)
        return lambda r: self.cycle(r, levels)

    def check_grid(self, shape: Sequence[int], spacing: Sequence[float]) -> None:
        """Refuse a grid on which there is nothing to train.

        Raises:
            ValueError: If it cannot be coarsened, or is so coarse that the cycle solves exactly.
        """
        if len(setup_levels(torch.ones(1, 1, *shape), spacing, self.coarsest)) == 1:
            raise ValueError(
                f"it has at most coarsest={self.coarsest} cells, which the cycle solves exactly: nothing to learn; take a finer grid"
            )

    def untrained(self) -> LearnedVCycle:
        """Return the cycle before training, which is classical multigrid."""
        return LearnedVCycle(coarsest=self.coarsest, dim=self.dim)

    def cycle(self, r: Tensor, levels: Sequence[Level]) -> Tensor:
        """Apply one cycle on a hierarchy that setup_levels built, e.g. many times for one coefficient.

        Args:
            r: Residuals in integrated form, shape (batch, 1, *grid).
            levels: The hierarchy.

        Returns:
            Corrections, shape (batch, 1, *grid).
        """
        return apply_cycle(r, levels, self.weights(r.dtype))

    def weights(self, dtype: torch.dtype) -> Weights:
        """Smoother K and transfer T as stencils of 3^dim entries, even in each axis, and the factor of the coarse correction.

        K is a product of one stencil per axis because a free corner learns that product to 1 % and costs two more
        array operations per sweep.
        """
        smoother, *factors = self.smoother.to(dtype).unbind()
        for x in factors:
            smoother = smoother.unsqueeze(-1) * torch.stack((x, torch.ones_like(x), x))
        return Weights(smoother, self.transfer.to(dtype)[self.fold], self.correction.to(dtype))

    def setup(self, system: Any, dtype: torch.dtype = torch.float32) -> VCyclePreconditioner | TensorVCycle:
        """Build the preconditioner M ≈ A⁻¹ of one linear system (protocol of pdeflow.linalg).

        Args:
            system: Anything with grid (shape, spacing()), coefficient (cell values (*grid), numpy or torch)
                and mask (Obstacles of pdeflow.linalg.obstacles, or None; may be absent).
            dtype: Precision inside; float32 takes as many iterations as float64 (to 1e-12) in less time.

        Returns:
            An object with M @ r for flat float64 numpy vectors; in space, and with obstacles, it works on the device of the weights.

        Raises:
            ValueError: If the system is not on a Dirichlet grid of cells, of the cycle's dimension, with a
                coefficient, or cannot be coarsened.
        """
        grid: Any = getattr(system, "grid", None)
        coefficient, obstacles = getattr(system, "coefficient", None), getattr(system, "mask", None)
        fits = grid is not None and coefficient is not None and len(grid.shape) == self.dim
        if not fits or any(getattr(grid, "periodic", ())) or getattr(grid, "location", "cell") != "cell":
            raise ValueError(
                f"this learned V-cycle needs a {self.dim}-D Dirichlet grid of cells and its coefficient, got "
                f"grid {grid} and coefficient {type(coefficient).__name__}; a matrix on such a grid gets them by "
                "pdeflow.linalg.LinearSystem(A, b, grid=…, coefficient=…), use AMG for others"
            )
        if obstacles is not None and not isinstance(obstacles, Obstacles):
            raise ValueError(f"a mask must say what holds at its walls: Obstacles of pdeflow.linalg.obstacles, got {type(obstacles).__name__}; or use AMG")
        a = torch.as_tensor(coefficient, dtype=torch.float64, device="cpu")[None, None]
        numbers, correction = self.smoother.tolist(), self.correction.item()
        if self.dim == 2 and obstacles is None:
            levels = setup_levels(a, grid.spacing(), self.coarsest)
            return VCyclePreconditioner(levels, numbers, self.transfer.tolist(), correction, dtype)
        return self.on_device(a, grid.spacing(), dtype, obstacles)

    def on_device(
        self, coefficient: Tensor, spacing: Sequence[float], dtype: torch.dtype = torch.float32, obstacles: Obstacles | None = None
    ) -> TensorVCycle:  # fmt: skip
        """Build the cycle of one coefficient on the device of the weights, e.g. for `dcdm` with many right-hand sides.

        Args:
            coefficient: Positive cell values, shape (1, 1, *grid).
            spacing: Cell widths.
            dtype: Precision inside; the hierarchy is built in that of the coefficient.
            obstacles: Cells that are not in the domain, or None.

        Raises:
            ValueError: See setup_levels.
        """
        device = self.smoother.device
        levels = [level.to(device, dtype) for level in setup_levels(coefficient, spacing, self.coarsest, obstacles)]
        weights = Weights(*(part.detach() for part in self.weights(dtype)))
        return TensorVCycle(levels, weights, smoother_range(self.smoother.tolist()))
