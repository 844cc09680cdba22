"""Relative Lp errors of fields, per sample and as training losses.

Li et al., Fourier Neural Operator, ICLR 2021, section 5: mean over samples of ‖u - v‖₂ / ‖v‖₂.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def relative_l2(u: Tensor, v: Tensor) -> Tensor:
    """Compute ‖u - v‖₂ / ‖v‖₂ of each sample, over channels and points.

    Args:
        u: Prediction, shape (batch, ...).
        v: Target, same shape.

    Returns:
        Ratios, shape (batch,), dimensionless.

    Raises:
        ValueError: If the shapes differ or the target of a sample is zero.
    """
    return relative_lp(u, v, 2)


def relative_lp(u: Tensor, v: Tensor, p: float) -> Tensor:
    """Compute ‖u - v‖_p / ‖v‖_p of each sample, over channels and points.

    Args:
        u: Prediction, shape (batch, ...).
        v: Target, same shape.
        p: Exponent, 1 or more; infinity is the largest absolute value.

    Returns:
        Ratios, shape (batch,), dimensionless.

    Raises:
        ValueError: If the shapes differ, p < 1 or the target of a sample is zero.
    """
    check_pair(u, v)
    if not p >= 1:
        raise ValueError(f"an Lp norm needs p >= 1, got p={p}; use 1, 2 or infinity")
    return safe_ratio((u - v).flatten(1).norm(p, dim=1), v.flatten(1).norm(p, dim=1))


class RelativeL2(nn.Module):
    """Mean over the batch of the relative L2 errors of its samples."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            prediction: Fields, shape (batch, channels, *grid) or (batch, points, channels).
            target: Fields of the same shape, no sample of which is zero.

        Returns:
            Scalar tensor.

        Raises:
            ValueError: If the shapes differ or the target of a sample is zero.
        """
        return relative_l2(prediction, target).mean()


class RelativeLp(nn.Module):
    """Mean over the batch of the relative Lp errors of its samples.

    Args:
        p: Exponent, 1 or more; infinity is the largest absolute value.

    Raises:
        ValueError: If p < 1.
    """

    def __init__(self, p: float = 1.0) -> None:
        super().__init__()
        if not p >= 1:
            raise ValueError(f"an Lp norm needs p >= 1, got p={p}; use 1, 2 or infinity")
        self.p = p

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compute the loss, a scalar, of fields (batch, ...) of one shape; raises as relative_lp."""
        return relative_lp(prediction, target, self.p).mean()


def check_pair(u: Tensor, v: Tensor) -> None:
    """Check that prediction and target have one shape, so that nothing is broadcast in silence.

    Args:
        u: Prediction.
        v: Target.

    Raises:
        ValueError: If the shapes differ.
    """
    if u.shape != v.shape:
        raise ValueError(f"prediction has shape {tuple(u.shape)}, target {tuple(v.shape)}; make them equal")


def safe_ratio(error: Tensor, size: Tensor) -> Tensor:
    """Divide error norms by target norms.

    Args:
        error: Norms of the errors, shape (batch,).
        size: Norms of the targets, shape (batch,).

    Returns:
        error / size, shape (batch,).

    Raises:
        ValueError: If a target norm is zero.
    """
    zero = torch.nonzero(size == 0)
    if len(zero):
        raise ValueError(
            f"target norm is 0 for sample {zero[0].item()} of the batch, where a relative error has no meaning; "
            "use an absolute loss (torch.nn.MSELoss) or drop the sample"
        )
    return error / size
