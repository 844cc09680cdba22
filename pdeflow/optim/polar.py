"""Polar factors of batches of real or complex matrices: by singular values, odd polynomials or rational functions.

Higham, Functions of Matrices, SIAM 2008, section 8.3 (iteration). Coefficients: Jordan, Muon (2024); You, in Muon's issue
tracker (2024); Amsel, Persson, Musco, Gower, The Polar Express, arXiv 2505.16932, algorithm 1.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

import torch
from torch import Tensor

from pdeflow.optim.matrix_scale import unit, unit_entries
from pdeflow.optim.minimax import minimax_polynomials
from pdeflow.optim.newton_schulz import SAFETY, Triple, newton_schulz
from pdeflow.optim.qdwh import qdwh

PolarMethod = Literal[
    "auto", "svd", "qdwh", "jordan5", "you5", "polar_express", "minimax", "gram", "newton_schulz", "newton_schulz5"
]
PolarDtype = Literal["same", "float32", "bfloat16", "float64"]

JORDAN: tuple[Triple, ...] = ((3.4445, -4.7750, 2.0315),) * 5
_YOU: tuple[Triple, ...] = (
    (4.0848, -6.8946, 2.9270), (3.9505, -6.3029, 2.6377), (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046), (2.8366, -3.0525, 1.2012),
)  # fmt: skip
_FIXED: dict[str, tuple[Triple, ...]] = {"jordan5": JORDAN, "you5": _YOU}
_REPEATED: dict[str, Triple] = {"newton_schulz": (1.5, -0.5, 0.0), "newton_schulz5": (15 / 8, -10 / 8, 3 / 8)}
_SMALLEST, _CUSHION = 1e-3, 0.02407327424182761  # what the published table was computed for


def polar(matrix: Tensor, method: PolarMethod = "auto", steps: int = 8, dtype: PolarDtype = "same") -> Tensor:
    """Return U Vᴴ of the compact singular value decomposition M = U Σ Vᴴ.

    Args:
        matrix: Real or complex matrices, shape (..., m, n).
        method: "svd" (exact; null space stays zero) and "qdwh" (exact, products and factorizations only);
            "jordan5" and "you5" (singular values in 0.7 to 1.2, cheapest); "polar_express" (converges), the same as "gram" on
            the smaller Gram matrix (for long matrices), "minimax" (uncushioned: best for spectra within 1e-3 to 1);
            "newton_schulz" and "newton_schulz5" (textbook cubic and quintic); "auto": on a CPU
            polar_express in single precision up to sides of 256 (complex: 32), else svd; elsewhere svd up to sides of 32,
            gram where one side is twice the other, else polar_express.
        steps: Number of iterations, where the method does not fix it.
        dtype: Working precision, "same" as the matrix or a name; "bfloat16" is for real matrices.

    Returns:
        Polar factors, same shape and dtype; zero for a zero matrix.

    Raises:
        ValueError: If the method is unknown, steps < 1, matrix has fewer than two axes, or it is complex and dtype bfloat16.
    """
    if matrix.ndim < 2:
        raise ValueError(f"polar needs matrices (..., m, n), got shape {tuple(matrix.shape)}")
    if matrix.mT.is_contiguous() and not matrix.is_contiguous():
        return polar(matrix.mT, method, steps, dtype).mT  # in the order of storage, with no copies
    if min(matrix.shape[-2:]) == 1 and method in ("auto", "svd", "qdwh"):
        return unit(matrix)
    if method == "auto":
        method = _method_for(matrix)
    work = matrix.to(working_dtype(matrix.dtype, dtype))
    if method == "svd":
        factor = _polar_svd(work)
    elif method == "qdwh":
        factor = qdwh(unit_entries(work))
    else:
        triples = polynomials(method, steps)
        factor = newton_schulz(work, triples, 1.0 if method in _FIXED or method in _REPEATED else SAFETY, method == "gram")
    return factor.to(matrix.dtype)


def working_dtype(dtype: torch.dtype, name: PolarDtype) -> torch.dtype:
    """Return the precision in which a matrix is iterated.

    Args:
        dtype: Its own.
        name: "same", or a real type that stands for its complex counterpart too.

    Raises:
        ValueError: If the matrix is complex and the name is "bfloat16": torch has no such complex numbers.
    """
    if name == "same":
        return dtype
    if not dtype.is_complex:
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}[name]
    if name == "bfloat16":
        raise ValueError(f"{dtype} matrices would lose their imaginary part in bfloat16; use polar_dtype 'float32' or 'same'")
    return {"float32": torch.complex64, "float64": torch.complex128}[name]


@cache
def polynomials(method: str, steps: int) -> tuple[Triple, ...]:
    """List the coefficients of a Newton-Schulz family, with the safety factor in all but the last of the minimax ones.

    Args:
        method: Name of a polynomial method of polar.
        steps: Number of iterations, at least one; "jordan5" and "you5" have five.

    Returns:
        Triples (a, b, c) of a X + b (XXᴴ) X + c (XXᴴ)² X.

    Raises:
        ValueError: If steps < 1 or the method is unknown.

    Reference: arXiv 2505.16932, algorithm 1.
    """
    if steps < 1:
        raise ValueError(f"{method} needs at least one step, got {steps}")
    if method in _FIXED:
        return _FIXED[method]
    if method in _REPEATED:
        return (_REPEATED[method],) * steps
    if method not in ("polar_express", "gram", "minimax"):
        raise ValueError(f"method must be one of {', '.join(get_args(PolarMethod))}, got {method!r}")
    best = minimax_polynomials(_SMALLEST, steps, 0.0 if method == "minimax" else _CUSHION).triples
    safe = [(a / SAFETY, b / SAFETY**3, c / SAFETY**5) for a, b, c in best[:-1]]
    return (*safe, best[-1])


def _method_for(matrix: Tensor) -> PolarMethod:
    """Choose by what was measured: products win for small or single-precision matrices, see benchmarks/optimizers.py."""
    short, long = sorted(matrix.shape[-2:])
    if matrix.device.type == "cpu":
        double = matrix.dtype in (torch.float64, torch.complex128)
        return "svd" if double or short > (32 if matrix.is_complex() else 256) else "polar_express"
    if short <= 32:
        return "svd"
    return "gram" if long >= 2 * short else "polar_express"


def _polar_svd(matrix: Tensor) -> Tensor:
    """Drop singular vectors whose value is rounding noise: they would add noise."""
    u, s, vh = torch.linalg.svd(unit_entries(matrix), full_matrices=False)
    noise = s[..., :1] * (max(matrix.shape[-2:]) * torch.finfo(s.dtype).eps)
    return (u * (s > noise).unsqueeze(-2)) @ vh
