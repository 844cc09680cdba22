"""Finds, on a CPU, what would make a GPU wait or fetch from the host, so that it could not be captured as a CUDA graph."""

from typing import ClassVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class Refuse(TorchDispatchMode):
    """Raises where a GPU would have to be waited for, or a number be fetched from the host."""

    waits: ClassVar = {aten.scalar_tensor, aten._local_scalar_dense, aten.item, aten.nonzero, aten.masked_select, aten.is_nonzero, aten.unique_dim, aten._unique2, aten.equal}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        masks = [v for v in (args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else ()) if isinstance(v, torch.Tensor)]
        indexed = function.overloadpacket in (aten.index, aten.index_put, aten.index_put_) and any(v.dtype == torch.bool for v in masks)
        if function.overloadpacket in self.waits or indexed:
            raise AssertionError(f"{function} waits for the device")
        return function(*args, **(kwargs or {}))
