"""Stages that keep running covariances of rows and columns, and whiten by their inverse roots or turn to their eigenbases.

Gupta, Koren, Singer, Shampoo, ICML 2018, algorithm 1; Lin et al., KL-Shampoo, arXiv 2509.03378; Vyas et al., SOAP,
arXiv 2409.11321, algorithms 3 and 4; FISMO, arXiv 2601.21750, with normalised covariances.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pdeflow.optim.chain import MatrixBatch


def whiten_by_quarter_roots(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Return L^(-1/4) X R^(-1/4), L and R averages or sums of G Gᴴ, Gᴴ G. Options statistics_decay, damping, refresh."""
    g, group = batch.gradient, batch.group
    left, right = _running(batch, "left", g @ g.mH), _running(batch, "right", g.mH @ g)
    if batch.step % group["refresh"] == 0:
        batch.put("left_root", inverse_power(left, 0.25, group["damping"]))
        batch.put("right_root", inverse_power(right, 0.25, group["damping"]))
    return batch.get("left_root") @ x @ batch.get("right_root")


def whiten_right(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Return X R^(-1/2), R the running average of Gᴴ G. Options as whiten_by_quarter_roots."""
    right = _running(batch, "right", batch.gradient.mH @ batch.gradient)
    if batch.step % batch.group["refresh"] == 0:
        batch.put("right_root", inverse_power(right, 0.5, batch.group["damping"]))
    return x @ batch.get("right_root")


def whiten_by_kl_covariances(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Return A X B with A = S_a^(-1/2), B = S_b^(-1/2), each covariance estimated in the coordinates that the other whitens.

    S_a averages G S_b⁻¹ Gᴴ / n and S_b averages Gᴴ S_a⁻¹ G / m. Options statistics_decay, damping, refresh.

    Reference: arXiv 2509.03378.
    """
    g, group = batch.gradient, batch.group
    m, n = g.shape[-2:]
    due = batch.step % group["refresh"] == 0
    half = g @ batch.get("right_root", lambda: _eye(g, n))
    left = _running(batch, "left", half @ half.mH / n)
    if due:
        batch.put("left_root", inverse_power(left, 0.5, group["damping"]))
    half = batch.get("left_root") @ g
    right = _running(batch, "right", half.mH @ half / m)
    if due:
        batch.put("right_root", inverse_power(right, 0.5, group["damping"]))
    return batch.get("left_root") @ x @ batch.get("right_root")


def whiten_by_fisher(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Return P^(-1/2) X Q^(-1/2), P, Q averaged covariances of trace m, n. Options statistics_decay, damping, refresh."""
    g, n = batch.gradient, batch.gradient.shape[-1]
    due = batch.step % batch.group["refresh"] == 0
    half = g @ batch.get("right_root", lambda: _eye(g, n))
    left = _normalized_running(batch, "left", half @ half.mH)
    if due:
        batch.put("left_root", inverse_power(left, 0.5, 0.0))
    half = batch.get("left_root") @ g
    right = _normalized_running(batch, "right", half.mH @ half)
    if due:
        batch.put("right_root", inverse_power(right, 0.5, 0.0))
    return colour_by_fisher(x, batch)


def colour_by_fisher(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Return P^(-1/2) X Q^(-1/2) with the roots that whiten_by_fisher holds."""
    return batch.get("left_root") @ x @ batch.get("right_root")


def rotate_adam(x: Tensor, batch: MatrixBatch) -> Tensor:
    """Take Adam's step in the eigenbases of the covariances. Options betas, preconditioner_decay, eps, refresh.

    Reference: arXiv 2409.11321, algorithm 3; the first moment stays in the original coordinates, the first step is zero.
    """
    beta, beta2 = batch.group["betas"]
    t = batch.step
    update = torch.zeros_like(x)
    if t > 0:
        left, right = batch.get("left_basis"), batch.get("right_basis")
        mean = batch.get("mean", lambda: torch.zeros_like(x)).lerp(x, 1 - beta)
        size = (left.mH @ x @ right).abs().square()
        square = batch.get("square", lambda: torch.zeros_like(size)).lerp(size, 1 - beta2)
        batch.put("mean", mean)
        batch.put("square", square)
        turned = left.mH @ mean @ right / (square.sqrt() + batch.group["eps"])
        update = left @ turned @ right.mH * (math.sqrt(1 - beta2**t) / (1 - beta**t))
    _turn_bases(batch)
    return update


def inverse_power(covariance: Tensor, exponent: float, damping: float) -> Tensor:
    """Return (S + damping · mean eigenvalue · I)^(-exponent); directions without any variance keep the factor one.

    Args:
        covariance: Hermitian positive semidefinite matrices S, shape (B, m, m).
        exponent: Positive power.
        damping: Share of the mean eigenvalue that is added.

    Returns:
        Hermitian matrices, same shape.
    """
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp_min(0) + damping * values.mean(-1, keepdim=True)
    noise = values[..., -1:] * (values.shape[-1] * torch.finfo(values.dtype).eps)
    powers = torch.where(values > 0, torch.maximum(values, noise) ** -exponent, 1.0)
    return (vectors * powers.unsqueeze(-2)) @ vectors.mH


def _turn_bases(batch: MatrixBatch) -> None:
    """Update the covariances; take their eigenbases at first, later one step of orthogonal iteration, largest first."""
    g, t, decay = batch.gradient, batch.step, batch.group["preconditioner_decay"]
    for side, axis, outer in (("left", -2, g @ g.mH), ("right", -1, g.mH @ g)):
        covariance = torch.zeros_like(outer) if t == 0 else batch.get(side)
        covariance = covariance.lerp(outer, 1 - decay)
        batch.put(side, covariance)
        if t == 0:
            batch.put(f"{side}_basis", torch.linalg.eigh(covariance).eigenvectors.flip(-1))
        elif t % batch.group["refresh"] == 0:
            basis = batch.get(f"{side}_basis")
            image = covariance @ basis
            order = (basis.conj() * image).real.sum(-2).argsort(dim=-1, descending=True)
            batch.put(f"{side}_basis", torch.linalg.qr(image.take_along_dim(order.unsqueeze(-2), -1)).Q)
            batch.put("square", batch.get("square").take_along_dim(order.unsqueeze(-3 - axis), axis))


def _running(batch: MatrixBatch, key: str, value: Tensor) -> Tensor:
    """Average without bias towards the zero start, or sum where the decay is one."""
    decay = batch.group["statistics_decay"]
    before = batch.get(key, lambda: torch.zeros_like(value))
    after = before + value if decay == 1 else before.lerp(value, 1 - decay)
    batch.put(key, after)
    return after if decay == 1 else after / (1 - decay ** (batch.step + 1))


def _normalized_running(batch: MatrixBatch, key: str, value: Tensor) -> Tensor:
    n, decay, damping = value.shape[-1], batch.group["statistics_decay"], batch.group["damping"]
    eye = _eye(value, n)
    after = batch.get(key, lambda: eye).lerp(_of_trace(value, n) + damping * eye, 1 - decay)
    after = _of_trace(after, n)
    batch.put(key, after)
    return after


def _of_trace(matrix: Tensor, trace: float) -> Tensor:
    found = matrix.diagonal(dim1=-2, dim2=-1).real.sum(-1)[..., None, None]
    return matrix * (trace / torch.where(found == 0, 1.0, found))


def _eye(like: Tensor, n: int) -> Tensor:
    return torch.eye(n, dtype=like.dtype, device=like.device).repeat(len(like), 1, 1)
