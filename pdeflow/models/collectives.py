"""Sums and gathers over processes through which gradients flow, for processes that each hold a part of every sample.

Where every process computes the same loss L from such sums, the gradients of their parameters are R times their own parts of
∂L/∂θ, for R processes; their mean, which is what DistributedDataParallel takes, is ∂L/∂θ. (torch.distributed.nn.functional,
which did the same, is deprecated in torch 2.13.)
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from torch import Tensor


def this_process() -> tuple[int, int]:
    """Return the rank of this process and the number of processes; (0, 1) where torch.distributed does not run."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def sum_over_processes(x: Tensor) -> Tensor:
    """Sum tensors of one shape over all processes; the gradient is the sum of the processes' gradients.

    Args:
        x: This process's term, any shape.

    Returns:
        The sum on every process, same shape.
    """
    return _Sum.apply(x) if this_process()[1] > 1 else x


def gather_over_processes(x: Tensor, dim: int) -> Tensor:
    """Put the tensors of all processes, of one shape, together along an axis.

    Args:
        x: This process's part, any shape.
        dim: The axis.

    Returns:
        The whole on every process; the gradient of a part is the sum of what the processes say of it.
    """
    return _Gather.apply(x, dim) if this_process()[1] > 1 else x


def check_same_samples(a: Tensor) -> None:
    """Check that all processes hold the same fields.

    Args:
        a: Fields, any shape.

    Raises:
        ValueError: If their sums differ; on every process.
    """
    total = a.detach().double().sum().nan_to_num()  # what is not finite is somebody else's error
    both = torch.stack((total, -total))
    torch.distributed.all_reduce(both, op=torch.distributed.ReduceOp.MAX)
    if not bool(both[0] == -both[1]):
        raise ValueError(
            "processes share the patches of a sample but were given different samples; set trainer.use_distributed_sampler: false"
        )


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.apply(gradients[0])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        ctx.dim = dim
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(this_process()[1])]
        torch.distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts, dim)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        rank, processes = this_process()
        return _Sum.apply(gradients[0]).chunk(processes, ctx.dim)[rank], None
