"""Scale-free losses for learned search directions and preconditioners: how much error one step leaves.

Kaneda et al., A Deep Conjugate Direction Method (arXiv 2205.10763), for the residual loss. The energy loss is
what an exact line search leaves of the squared A-norm error, 1 - cos²_A(f, A⁻¹b): the scale-free form of the
loss of Rudikov et al., Neural operators meet conjugate gradients (arXiv 2402.05598).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pdeflow.linalg.conjugate_window import Window, times


def inner(x: Tensor, y: Tensor) -> Tensor:
    """Inner product of each pair in a batch, shapes (batch, ...) and (batch, ...) to (batch,)."""
    return (x * y).flatten(1).sum(1)


def energy_loss(f: Tensor, Af: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Share of the squared A-norm error that is left after an exact line search along f from zero.

    1 - (bᵀf)² / ((fᵀAf)(bᵀx)) = 1 - cos²_A(f, x) for b = A x; no solve is needed when b is made from x.

    Args:
        f: Proposed directions, shape (batch, ...).
        Af: A f, same shape.
        b: Right-hand sides, same shape.
        x: Exact solutions with A x = b, same shape.

    Returns:
        Values in [0, 1] for symmetric positive definite A, shape (batch,); equal for f and c f, c ≠ 0.

    Raises:
        ValueError: If the four shapes differ.
    """
    if not f.shape == Af.shape == b.shape == x.shape:
        raise ValueError(
            f"expected four tensors of one shape (batch, ...), got f {tuple(f.shape)}, "
            f"Af {tuple(Af.shape)}, b {tuple(b.shape)}, x {tuple(x.shape)}; expand them first"
        )
    return 1 - inner(b, f) ** 2 / (inner(f, Af) * inner(b, x))


def log_energy_loss(f: Tensor, Af: Tensor, b: Tensor, x: Tensor, floor: float = 1e-6) -> Tensor:
    """Logarithm of the energy loss, which weighs all samples of a good network alike, shape (batch,).

    Args:
        f: Proposed directions, shape (batch, ...).
        Af: A f, same shape.
        b: Right-hand sides, same shape.
        x: Exact solutions with A x = b, same shape.
        floor: Added before the logarithm; below it a sample counts as solved.
    """
    return torch.log(energy_loss(f, Af, b, x).clamp_min(0) + floor)


def residual_loss(f: Tensor, Af: Tensor, b: Tensor) -> Tensor:
    """Squared residual after the line search, ‖b - α A f‖² with α = bᵀf / fᵀAf, shape (batch,).

    Args:
        f: Proposed directions, shape (batch, ...).
        Af: A f, same shape.
        b: Right-hand sides of length one, same shape.

    Reference: Kaneda et al., arXiv 2205.10763 (official code: squared norm, gradients flow through α).
    """
    alpha = inner(b, f) / inner(f, Af)
    rest = b - alpha.reshape(-1, *[1] * (b.ndim - 1)) * Af
    return inner(rest, rest)


def minimal_residual_loss(f: Tensor, Af: Tensor, b: Tensor) -> Tensor:
    """Share of ‖b‖² that the best step along f leaves, 1 - cos²(A f, b), shape (batch,); for A that is not positive definite.

    Args:
        f: Not used: only A f matters.
        Af: A f, shape (batch, ...).
        b: Right-hand sides, same shape.

    Reference: ours; the step β = (A f)ᵀb / ‖A f‖² is that of GCR (Eisenstat, Elman and Schultz, SIAM J. Numer. Anal. 20, 1983).
    """
    return 1 - inner(Af, b) ** 2 / (inner(Af, Af) * inner(b, b))


def mixed_noise(
    shape: Sequence[int], *, generator: torch.Generator, narrow: float = 0.01, wide: float = 0.2
) -> Tensor:
    """Draw solutions x for manufactured pairs b = A x: white noise mixed with smoothed noise of random width.

    Args:
        shape: (batch, channels, *grid).
        generator: Source of randomness; equal states give equal fields.
        narrow: Smallest standard deviation of the Gaussian filter, as a fraction of the side.
        wide: Largest one; widths are log-uniform between the two.

    Returns:
        Fields of shape `shape`, float64: weight t in [0, 1] on the white part and 1 - t on the smooth part.

    Reference: ours; cheap for every operator, and xᵀb comes free.
    """
    dims, per_sample = tuple(range(2, len(shape))), (shape[0], *[1] * (len(shape) - 1))
    white, rough = (torch.randn(*shape, dtype=torch.float64, generator=generator) for _ in range(2))
    mix, place = (torch.rand(per_sample, dtype=torch.float64, generator=generator) for _ in range(2))
    width = narrow * (wide / narrow) ** place
    waves = [torch.fft.fftfreq(n, 1 / n, dtype=torch.float64) for n in shape[2:]]
    squared = torch.stack(torch.meshgrid(*waves, indexing="ij")).square().sum(0)  # (*grid,)
    filtered = torch.fft.fftn(rough, dim=dims) * torch.exp(-2 * (torch.pi * width) ** 2 * squared)
    smooth = torch.fft.ifftn(filtered, dim=dims).real
    return mix * white + (1 - mix) * smooth / smooth.std(dims, keepdim=True)


@torch.no_grad()
def on_policy_pairs(
    apply: Callable[[Tensor], Tensor],
    precondition: Callable[[Tensor], Tensor],
    b: Tensor,
    x: Tensor,
    steps: int,
    window: int = 2,
) -> tuple[Tensor, Tensor]:
    """Replace right-hand sides by residuals that flexible conjugate gradients with this preconditioner meet.

    Args:
        apply: The operator A on fields of the shape of b.
        precondition: Any map from residuals to directions; plain conjugate gradients where it is symmetric positive definite.
        b: Right-hand sides, shape (batch, ...).
        x: Exact solutions, A x = b, same shape.
        steps: Number of steps from zero, 0 or more.
        window: Earlier directions to which a new one is made A-orthogonal.

    Returns:
        (r, e) with A e = r, the residual and the error after the steps, both divided by ‖r‖₂.

    Reference: Kaneda et al., arXiv 2205.10763 (the steps); Rudikov et al., arXiv 2402.05598 (training on what they leave).
    """
    r, e, kept = b, x, Window(window)
    for _ in range(steps):
        d, Ad, curvature = kept.conjugate(precondition(r), apply)
        good = curvature > 0
        square = torch.where(good, curvature, 1.0)
        d, Ad = times(good, d), times(good, Ad)
        alpha = inner(r, d) / square
        e, r = e - times(alpha, d), r - times(alpha, Ad)
        kept.push(d, Ad, square)
        kept.close()
    scale = 1 / inner(r, r).sqrt()
    return times(scale, r), times(scale, e)
