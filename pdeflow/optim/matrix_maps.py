"""Stages that give an update its shape: polar factors, norms of rows and columns, second moments, scales.

Jordan, Muon (2024); Liu et al., Muon is scalable, arXiv 2502.16982, eq. (4); others where they are used.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from pdeflow.optim.chain import MatrixBatch
from pdeflow.optim.matrix_scale import scaled, unit
from pdeflow.optim.newton_schulz import newton_schulz
from pdeflow.optim.polar import JORDAN, polar
from pdeflow.optim.settings import Scale


def orthogonalize(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Replace X by its polar factor. Options polar, polar_steps, polar_dtype."""
    group = batch.group
    return polar(x, group["polar"], group["polar_steps"], group.get("polar_dtype", "same"))


def orthogonalize_by_nuclear_norm(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Return ‖X‖_* polar(X), the steepest descent step in the spectral norm; ‖X‖_* = Re⟨X, polar(X)⟩."""
    factor = orthogonalize(x, batch)
    return scaled(factor, inner(x, factor))


def nuclear_norm_of_gradient(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Scale X by the nuclear norm ‖G‖_* of the gradient."""
    return scaled(x, inner(batch.gradient, orthogonalize(batch.gradient, batch)))


def rescale(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Multiply by the factor of the shape. Option scale."""
    return scaled(x, update_scale(x.shape[-2], x.shape[-1], batch.group["scale"]))


def update_scale(m: int, n: int, scale: Scale) -> float:
    """Return the factor of an orthogonal update of an (m, n) matrix.

    Args:
        m: Fan-out.
        n: Fan-in.
        scale: "rms", "kj", "spectral" or "none", as in Muon.

    Returns:
        The factor s.

    Reference: arXiv 2502.16982, eq. (4), for "rms".
    """
    return {
        "rms": 0.2 * math.sqrt(max(m, n)),
        "kj": math.sqrt(max(1, m / n)),
        "spectral": math.sqrt(m / n),
        "none": 1.0,
    }[scale]


def fixed_rms(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Give each matrix entries of root mean square 0.2, as AdamW's have."""
    return unit(x, 0.2 * math.sqrt(x.shape[-2] * x.shape[-1]))


def few_newton_schulz_steps(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Take steps of Jordan's quintic. Option polar_steps."""
    return newton_schulz(x, JORDAN[:1] * batch.group["polar_steps"])


def rotate(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Return R f(Rᴴ X), R the orthogonal factor of X f(Rᴴ X)ᴴ with the last R. Options base, alternations.

    Reference: arXiv 2602.09006; the diagonal of the triangular factor is made positive (our choice).
    """
    m = x.shape[-2]
    old = batch.get("rotation", lambda: torch.eye(m, dtype=x.dtype, device=x.device).repeat(len(x), 1, 1))
    q, r = torch.linalg.qr(x @ _base_step(old.mH @ x, batch.group).mH)
    phase = torch.sgn(r.diagonal(dim1=-2, dim2=-1))
    rotation = q * torch.where(phase == 0, 1.0, phase).unsqueeze(-2)
    batch.put("rotation", rotation)
    return rotation @ _base_step(rotation.mH @ x, batch.group)


def _base_step(x: Tensor, group: dict[str, Any]) -> Tensor:
    if group["base"] == "sinkhorn":
        return sinkhorn(x, group["alternations"])
    return torch.sgn(x) if group["base"] == "sign" else math.sqrt(x.shape[-1]) * unit_rows(x)


def largest_step_in_ball(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Return the matrix of the ball of the layer's norm that has the largest product with X. Options ball, radius.

    Reference: arXiv 2502.07529, table 2; the norm of a k × k convolution bounds it by k² times its largest tap.
    """
    m, n = x.shape[-2:]
    ball, p = batch.group["ball"], batch.parameters[0]
    if ball == "spectral":
        taps = math.prod(p.shape[2:]) if batch.group.get("matrix_view", "matrix") == "matrix" else 1
        step = math.sqrt(m * taps / n) / taps * orthogonalize(x, batch)
    elif ball == "sign":
        step = torch.sgn(x) / n
    elif ball == "column":
        step = math.sqrt(m) * unit_columns(x)
    else:
        step = unit_rows(x) / math.sqrt(n)
    return batch.group["radius"] * step


def unit_rms_step(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Give entries the root mean square of the option elementwise_radius."""
    return unit(x, batch.group["elementwise_radius"] * math.sqrt(x.shape[-2] * x.shape[-1]))


def sign(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Replace entries by their sign, z / |z| for complex ones."""
    return torch.sgn(x)


def soft_clip(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Clip moduli at their quantile, which takes outliers out. Option quantile."""
    size = x.abs().flatten(1)
    k = max(1, math.ceil(batch.group["quantile"] * size.shape[1]))
    bound = size.kthvalue(k, dim=1).values[:, None, None]
    return torch.sgn(x) * torch.minimum(x.abs(), bound)


def hyperbolic_cosine_norm(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Return X / r with X of unit Frobenius norm and r² the mean of cosh²|X_ij|, which is close to one."""
    x = unit(x)
    return scaled(x, x.abs().cosh().square().mean((-2, -1), keepdim=True).rsqrt())


def unit_rows(x: Tensor) -> Tensor:
    """Divide rows by their length; zero rows stay."""
    return _divided(x, (-1,))


def unit_columns(x: Tensor) -> Tensor:
    """Divide columns by their length; zero columns stay."""
    return _divided(x, (-2,))


def sinkhorn(x: Tensor, alternations: int = 5) -> Tensor:
    """Give rows the length √n and columns the length √m, in turns.

    Args:
        x: Matrices (B, m, n).
        alternations: Number of turns.

    Returns:
        Same shape, entries of about unit size.

    Reference: Scetbon et al., Gradient multi-normalization, arXiv 2502.06742.
    """
    m, n = x.shape[-2:]
    for _ in range(alternations):
        x = math.sqrt(m) * unit_columns(math.sqrt(n) * unit_rows(x))
    return x


def row_second_moment(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Divide rows by their running root mean square, and keep the Frobenius norm. Option beta2."""
    return _normalized(x, batch, x.abs().square().mean(-1, keepdim=True))


def element_second_moment(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Divide entries by their running root mean square, and keep the Frobenius norm. Option beta2."""
    return _normalized(x, batch, x.abs().square())


def inner(x: Tensor, y: Tensor) -> Tensor:
    """Return Re⟨X, Y⟩ of each pair of matrices, shape (B, 1, 1)."""
    return (x.conj() * y).real.sum((-2, -1), keepdim=True)


def _normalized(x: Tensor, batch: MatrixBatch, square: Tensor) -> Tensor:
    moment = batch.get("second_moment", lambda: torch.zeros_like(square)).lerp(square, 1 - batch.group["beta2"])
    batch.put("second_moment", moment)
    shaped = scaled(x, 1 / (moment.sqrt() + 1e-10))
    return scaled(unit(shaped), torch.linalg.matrix_norm(x, keepdim=True))


def _divided(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    largest = x.abs().amax(axes, keepdim=True)  # squares of tiny or huge entries would leave the range of float32
    x = scaled(x, 1 / torch.where(largest == 0, 1.0, largest))
    length = torch.linalg.vector_norm(x, dim=axes, keepdim=True)
    return scaled(x, 1 / torch.where(length == 0, 1.0, length))
