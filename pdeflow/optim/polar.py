"""Polar factors of batches of real or complex matrices, by singular values or by Newton-Schulz iteration.

Higham, Functions of Matrices, SIAM 2008, section 8.3 (iteration); coefficients: Jordan, Muon (2024), and
Amsel, Persson, Musco, Gower, The Polar Express, arXiv 2505.16932, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

PolarMethod = Literal["auto", "svd", "jordan5", "polar_express"]
Triple = tuple[float, float, float]

_JORDAN: tuple[Triple, ...] = ((3.4445, -4.7750, 2.0315),) * 5
_SAFETY = 1.01  # bf16 and fp32 rounding may push a singular value above one
_POLAR_EXPRESS: tuple[Triple, ...] = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
)


def polar(matrix: Tensor, method: PolarMethod = "auto", steps: int = 8) -> Tensor:
    """Return U Vᴴ of the compact singular value decomposition M = U Σ Vᴴ.

    Args:
        matrix: Real or complex matrices, shape (..., m, n).
        method: "svd" (exact; null space stays zero), "jordan5" (singular values in 0.7 to 1.2, cheapest),
            "polar_express" (converges), "auto": svd on a CPU or for sides up to 32, else polar_express.
        steps: Number of iterations of polar_express.

    Returns:
        Polar factors, same shape and dtype; zero for a zero matrix.

    Raises:
        ValueError: If the method is unknown, steps < 1 or matrix has fewer than two axes.
    """
    if matrix.ndim < 2:
        raise ValueError(f"polar needs matrices (..., m, n), got shape {tuple(matrix.shape)}")
    if method == "auto":
        method = "svd" if matrix.device.type == "cpu" or min(matrix.shape[-2:]) <= 32 else "polar_express"
    if method == "svd":
        return _polar_svd(matrix)
    if method == "jordan5":
        return newton_schulz(matrix, _JORDAN)
    if method == "polar_express":
        return newton_schulz(matrix, polar_express_triples(steps), _SAFETY)
    raise ValueError(f"method must be 'auto', 'svd', 'jordan5' or 'polar_express', got {method!r}")


def polar_express_triples(steps: int) -> list[Triple]:
    """List the coefficients of the first iterations, with the safety factor in all but the last.

    Args:
        steps: Number of iterations, at least one.

    Returns:
        Triples (a, b, c) of a X + b (XXᴴ) X + c (XXᴴ)² X.

    Raises:
        ValueError: If steps < 1.

    Reference: arXiv 2505.16932, algorithm 1.
    """
    if steps < 1:
        raise ValueError(f"polar_express needs at least one step, got {steps}")
    triples = [_POLAR_EXPRESS[min(k, len(_POLAR_EXPRESS) - 1)] for k in range(steps)]
    safe = [(a / _SAFETY, b / _SAFETY**3, c / _SAFETY**5) for a, b, c in triples[:-1]]
    return [*safe, triples[-1]]


def newton_schulz(matrix: Tensor, triples: Sequence[Triple], norm_factor: float = 1.0) -> Tensor:
    """Push the singular values towards one by odd polynomials, on the side with the smaller Gram matrix.

    Args:
        matrix: Real or complex matrices, shape (..., m, n).
        triples: Coefficients (a, b, c) per step.
        norm_factor: The start is M / (norm_factor ‖M‖_F), so that its singular values are below one.

    Returns:
        Same shape and dtype; zero for a zero matrix.

    Reference: X ← a X + b (XXᴴ) X + c (XXᴴ)² X.
    """
    if matrix.shape[-2] > matrix.shape[-1]:
        return newton_schulz(matrix.mH, triples, norm_factor).mH
    x = _unit_scale(matrix)
    norm = torch.linalg.matrix_norm(x, keepdim=True) * norm_factor
    x = x / torch.where(norm == 0, 1.0, norm)
    for a, b, c in triples:
        gram = x @ x.mH
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def _polar_svd(matrix: Tensor) -> Tensor:
    """Drop singular vectors whose value is rounding noise: they would add noise."""
    u, s, vh = torch.linalg.svd(_unit_scale(matrix), full_matrices=False)
    noise = s[..., :1] * (max(matrix.shape[-2:]) * torch.finfo(s.dtype).eps)
    return (u * (s > noise).unsqueeze(-2)) @ vh


def _unit_scale(matrix: Tensor) -> Tensor:
    """Divide each matrix by its largest entry, so that squares of tiny gradients do not underflow."""
    largest = matrix.abs().amax(dim=(-2, -1), keepdim=True)
    return matrix / torch.where(largest == 0, 1.0, largest)
