"""A geometric multigrid V(1,1) cycle for -∇·(a∇u) = f in 2-D with eight learned numbers shared by all levels.

One application solves A e ≈ r for the cell-centred five-point operator of pdeflow.linalg.operators with
homogeneous Dirichlet boundary. It is linear and symmetric by construction, starts as classical multigrid
(damped Jacobi, bilinear transfer) and reads the coefficient, so trained weights move to other
coefficients and to finer grids.
Briggs, Henson and McCormick, A Multigrid Tutorial, 2nd ed. (2000), chapter 3; the learned parts are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdeflow.linalg import operators
from pdeflow.models.v_cycle_steps import VCyclePreconditioner

FOLD = ((3, 1, 3), (2, 0, 2), (3, 1, 3))  # symmetric 3 × 3 stencil from (centre, along x, along y, corner)
COARSEST_CELLS = 256  # 16 × 16: a dense product costs as much as one sweep there


@dataclass(frozen=True)
class Level:
    """Operator of one level of the hierarchy.

    Attributes:
        faces: Face conductances, shapes (batch, 1, nx + 1, ny) and (batch, 1, nx, ny + 1).
        diagonal: Diagonal of A, shape (batch, 1, nx, ny).
        inverse: A⁻¹ on the coarsest level, shape (batch, nx ny, nx ny); None on the others.
    """

    faces: operators.Faces
    diagonal: Tensor
    inverse: Tensor | None = None


def coarsen(faces: operators.Faces) -> operators.Faces:
    """Conductances of the grid with half the cells per axis: two parallel faces, twice the distance.

    A coarse face is two fine faces side by side, joined to cell centres twice as far away, so its conductance
    is half their sum: what the harmonic mean gives for the two rows of fine cells between the coarse centres.

    Args:
        faces: Shapes (..., nx + 1, ny) and (..., nx, ny + 1) with even nx and ny.
    """
    along_x, along_y = faces[0][..., ::2, :], faces[1][..., ::2]
    return (along_x[..., ::2] + along_x[..., 1::2]) / 2, (along_y[..., ::2, :] + along_y[..., 1::2, :]) / 2


def dense_inverse(faces: operators.Faces) -> Tensor:
    """Invert the five-point operator as a dense matrix, shape (batch, n, n), by Cholesky.

    Args:
        faces: Shapes (batch, 1, nx + 1, ny) and (batch, 1, nx, ny + 1), with n = nx ny.
    """
    main = operators.diagonal(faces)
    cells = torch.arange(main[0].numel(), device=main.device).reshape(main.shape[2:])
    matrix = torch.diag_embed(main.flatten(1))  # (batch, n, n)
    rows = cells[:-1], cells[1:], faces[0][:, 0, 1:-1]
    columns = cells[:, :-1], cells[:, 1:], faces[1][:, 0, :, 1:-1]
    for low, high, conductance in (rows, columns):
        matrix[:, low, high] = -conductance
        matrix[:, high, low] = -conductance
    return torch.cholesky_inverse(torch.linalg.cholesky(matrix))


def setup_levels(
    coefficient: Tensor, spacing: Sequence[float] = (1.0, 1.0), coarsest: int = COARSEST_CELLS
) -> tuple[Level, ...]:
    """Build the hierarchy of one batch of coefficients; free of weights, so every cycle can reuse it.

    Args:
        coefficient: Positive cell values a, shape (batch, 1, nx, ny).
        spacing: Cell widths (h_x, h_y); in 2-D only their ratio matters.
        coarsest: Both sides are halved while they are even and the level has more cells than this.

    Returns:
        Levels from fine to coarse, at least one.

    Raises:
        ValueError: If the coefficient is not (batch, 1, nx, ny) and positive, or if halving stops at an odd
            side while the level is still too large for a dense inverse (more than 4 coarsest cells).
    """
    if coefficient.ndim != 4 or coefficient.shape[1] != 1 or len(spacing) != 2:
        raise ValueError(
            "expected a coefficient (batch, 1, nx, ny) and two spacings, got "
            f"{tuple(coefficient.shape)} and {tuple(spacing)}; use a[None, None] for (nx, ny)"
        )
    if not bool((coefficient > 0).all()):
        raise ValueError(
            f"expected a positive coefficient, got values down to {coefficient.min():.3g}; "
            "holes and sign changes need another preconditioner, e.g. AMG"
        )
    faces, levels = operators.face_conductances(coefficient, spacing), []
    nx, ny = coefficient.shape[2:]
    while nx * ny > coarsest and nx % 2 == 0 and ny % 2 == 0:
        levels.append(Level(faces, operators.diagonal(faces)))
        faces, nx, ny = coarsen(faces), nx // 2, ny // 2
    if nx * ny > 4 * coarsest:
        sides = tuple(coefficient.shape[2:])
        power = 2 ** max(1, round(log2(max(sides)) - 4))  # so that the longer side stops near 16
        near = tuple(power * max(1, round(n / power)) for n in sides)
        raise ValueError(
            f"expected sides that halve to at most {4 * coarsest} cells, got {sides}, which "
            f"stops at {(nx, ny)}; take a grid such as {near}, or use AMG"
        )
    return (*levels, Level(faces, operators.diagonal(faces), dense_inverse(faces)))


def smooth(r: Tensor, diagonal: Tensor, stencil: Tensor) -> Tensor:
    """One sweep from zero, D^(-1/2) K D^(-1/2) r: damped Jacobi when K is a number, symmetric for even K.

    Args:
        r: Residual, shape (batch, 1, nx, ny).
        diagonal: D, same shape.
        stencil: K, shape (3, 3), applied with zeros outside.
    """
    scale = diagonal.rsqrt()
    return scale * functional.conv2d(scale * r, stencil[None, None], padding=1)


def odd_convolution(u: Tensor, stencil: Tensor) -> Tensor:
    """Apply an even 3 × 3 stencil to u, shape (batch, 1, nx, ny), continued oddly through the boundary.

    The wall lies half a cell outside, so -u of the edge cell is what makes linear interpolation vanish there
    (zeros cost 15 % more iterations). The matrix is symmetric because the stencil is even in each axis.
    """
    u = torch.cat((-u[..., :1, :], u, -u[..., -1:, :]), -2)
    u = torch.cat((-u[..., :1], u, -u[..., -1:]), -1)
    return functional.conv2d(u, stencil[None, None])


def restrict(r: Tensor, stencil: Tensor) -> Tensor:
    """Restrict an integrated residual to half the cells per axis: smooth, then sum 2 × 2 cells."""
    return 4 * functional.avg_pool2d(odd_convolution(r, stencil), 2)


def prolong(e: Tensor, stencil: Tensor) -> Tensor:
    """Interpolate a correction to twice the cells per axis, the exact adjoint of restrict."""
    return odd_convolution(functional.interpolate(e, scale_factor=2, mode="nearest"), stencil)


class LearnedVCycle(nn.Module):
    """Symmetric V(1,1) cycle; its smoother, transfer and correction factor are eight learned numbers.

    All levels share them. With S = D^(-1/2) K D^(-1/2) and the coarse cycle B, one level applies
    2S - SAS + (I - SA) P B Pᵀ (I - AS). So the cycle is symmetric, and it is positive definite when on every
    level K > 0 and the eigenvalues of SA are below 2, whatever the transfer. Untrained (K = damping < 1) this
    holds for every coefficient; for trained weights the preconditioner's flag `positive` estimates it.

    Args:
        damping: Jacobi damping of the untrained smoother; 0.8 is best for the constant-coefficient stencil.
        coarsest: Levels with at most this many cells are solved exactly.

    Raises:
        ValueError: If damping is not in (0, 1) or coarsest is below 4.
    """

    fold: Tensor
    dim = 2
    reads_coefficient = True

    def __init__(self, damping: float = 0.8, coarsest: int = COARSEST_CELLS) -> None:
        super().__init__()
        if not 0 < damping < 1 or coarsest < 4:
            raise ValueError(
                f"expected damping in (0, 1) and coarsest >= 4, got {damping} and {coarsest}; "
                f"the defaults are 0.8 and {COARSEST_CELLS}"
            )
        self.coarsest = coarsest
        self.smoother = nn.Parameter(torch.tensor([damping, 0.0, 0.0]))  # K = c (x, 1, x)ᵀ (y, 1, y)
        self.transfer = nn.Parameter(torch.tensor([0.25, 0.125, 0.125, 0.0625]))  # bilinear, (1,2,1)²/16
        self.correction = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("fold", torch.tensor(FOLD), persistent=False)

    def forward(self, r: Tensor, coefficient: Tensor, spacing: Sequence[float] = (1.0, 1.0)) -> Tensor:
        """Apply one cycle to residuals of the systems with these coefficients.

        Args:
            r: Residuals in integrated form, shape (batch, 1, nx, ny).
            coefficient: Positive cell values, shape (batch, 1, nx, ny) or (1, 1, nx, ny).
            spacing: Cell widths (h_x, h_y); in 2-D only their ratio matters.

        Returns:
            Corrections e with A e ≈ r, shape (batch, 1, nx, ny).

        Raises:
            ValueError: If r and the coefficient differ in their grid, or see setup_levels.
        """
        if r.ndim != 4 or r.shape[1:] != coefficient.shape[1:]:
            raise ValueError(
                f"expected residuals of the coefficient's shape {tuple(coefficient.shape)}, got "
                f"{tuple(r.shape)}; both are (batch, 1, nx, ny)"
            )
        return self.cycle(r, setup_levels(coefficient, spacing, self.coarsest))

    def on(self, coefficient: Tensor, spacing: Sequence[float]) -> Callable[[Tensor], Tensor]:
        """Return the map from residuals (batch, 1, nx, ny) to corrections for a batch of coefficients.

        Args:
            coefficient: Positive cell values, shape (batch, 1, nx, ny).
            spacing: Cell widths (h_x, h_y).

        Raises:
            ValueError: See setup_levels.
        """
        levels = setup_levels(coefficient, spacing, self.coarsest)
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
        return LearnedVCycle(coarsest=self.coarsest)

    def cycle(self, r: Tensor, levels: Sequence[Level]) -> Tensor:
        """Apply one cycle on a hierarchy that setup_levels built, e.g. many times for one coefficient.

        Args:
            r: Residuals in integrated form, shape (batch, 1, nx, ny).
            levels: The hierarchy.

        Returns:
            Corrections, shape (batch, 1, nx, ny).
        """
        level = levels[0]
        if level.inverse is not None:
            return (level.inverse @ r.flatten(2).mT).mT.reshape(r.shape)
        smoother, transfer = self.stencils(r.dtype)
        x = smooth(r, level.diagonal, smoother)
        coarse = self.cycle(restrict(r - operators.apply(x, level.faces), transfer), levels[1:])
        x = x + self.correction.to(r.dtype) * prolong(coarse, transfer)
        return x + smooth(r - operators.apply(x, level.faces), level.diagonal, smoother)

    def stencils(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Smoother K and transfer T as stencils, both of shape (3, 3) and even in each axis.

        K is a product of one stencil per axis because a free corner learns that product to 1 % and costs two more
        array operations per sweep.
        """
        centre, x, y = self.smoother.to(dtype).unbind()
        one = torch.ones_like(centre)
        smoother = centre * torch.outer(torch.stack((x, one, x)), torch.stack((y, one, y)))
        return smoother, self.transfer.to(dtype)[self.fold]

    def setup(self, system: Any, dtype: torch.dtype = torch.float32) -> VCyclePreconditioner:
        """Build the preconditioner M ≈ A⁻¹ of one linear system (protocol of pdeflow.linalg).

        Args:
            system: Anything with grid (shape, spacing()), coefficient (cell values (nx, ny), numpy or torch)
                and mask (None or all true; may be absent).
            dtype: Precision inside; float32 takes as many iterations as float64 (to 1e-12) in less time.

        Returns:
            An object with M @ r for flat float64 numpy vectors.

        Raises:
            ValueError: If the system is not on a 2-D Dirichlet grid of cells with a coefficient and without a
                mask, or cannot be coarsened.
        """
        grid: Any = getattr(system, "grid", None)
        coefficient, mask = getattr(system, "coefficient", None), getattr(system, "mask", None)
        fits = grid is not None and coefficient is not None and len(grid.shape) == 2
        if not fits or any(getattr(grid, "periodic", ())) or getattr(grid, "location", "cell") != "cell":
            raise ValueError(
                "a learned V-cycle needs a 2-D Dirichlet grid of cells and its coefficient, got "
                f"grid {grid} and coefficient {type(coefficient).__name__}; use AMG for others"
            )
        if mask is not None and not bool(torch.as_tensor(mask).all()):
            raise ValueError("a learned V-cycle needs the whole rectangle, got a mask with holes; use AMG")
        a = torch.as_tensor(coefficient, dtype=torch.float64, device="cpu")[None, None]
        levels = setup_levels(a, grid.spacing(), self.coarsest)
        smoother, transfer = self.smoother.tolist(), self.transfer.tolist()
        return VCyclePreconditioner(levels, smoother, transfer, self.correction.item(), dtype)
