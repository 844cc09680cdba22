"""Relative L2 error of fields of which each process holds a part: patches or slabs of every sample.

Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, TMLR 2024, section 3: domain-parallel training. The norms are
summed over the processes before they are divided, so that the loss is that of the whole fields.
"""

from __future__ import annotations

from torch import Tensor, nn

from pdeflow.losses.lp import check_pair, safe_ratio
from pdeflow.models.collectives import sum_over_processes
from pdeflow.models.patched_network import own_tiles


class DistributedRelativeL2(nn.Module):
    """Mean over the batch of sqrt(Σ_r ‖u_r - v_r‖²) / sqrt(Σ_r ‖v_r‖²), where process r holds u_r and v_r.

    Every process gets the same value, and DistributedDataParallel's mean of the processes' gradients is the gradient of
    one process with the whole fields. With one process this is RelativeL2.
    """

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            prediction: This process's part, shape (batch, ...), or its tiles of 1- to 3-D fields, shape (batch, share,
                channels, *side), as PatchedNetwork with distributed="tiles" returns them.
            target: The same part, or with tiles the whole fields, shape (batch, channels, *grid).

        Returns:
            Scalar tensor, the same on every process.

        Raises:
            ValueError: If the parts differ in shape or the target of a sample is zero on all processes.
        """
        if prediction.ndim == target.ndim + 1:
            target = own_tiles(target, target.shape[2] // prediction.shape[3])
        check_pair(prediction, target)
        error, size = (sum_over_processes(x.flatten(1).square().sum(1)) for x in (prediction - target, target))
        return safe_ratio(_root(error), size.sqrt()).mean()


def _root(x: Tensor) -> Tensor:
    """Square root whose gradient at zero is zero, as that of a norm."""
    positive = x > 0
    return x.where(positive, x.new_ones(())).sqrt().where(positive, x.new_zeros(()))
