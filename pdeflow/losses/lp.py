"""Relative L2 error of fields, per sample and as a training loss.

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
    check_pair(u, v)
    return safe_ratio((u - v).flatten(1).norm(dim=1), v.flatten(1).norm(dim=1))


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
            f"target norm is 0 for sample {zero[0].item()} of the batch; a relative error "
            "needs a non-zero target: drop the sample or use torch.nn.MSELoss"
        )
    return error / size
