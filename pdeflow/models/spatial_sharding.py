"""Spatial sharding: a field lies in slabs on several devices, and only its kept Fourier coefficients travel.

The truncated transform is linear, so a slab's product with its own columns of the Fourier matrix is one term of the
coefficients: their sum over the devices (an all-reduce of M_x ... K_y C numbers, not of the field) is exact, and the inverse
needs only the slab's own rows. No patches, no halo. Everything else in an FNO acts point by point or by sums over the grid,
which DTensor carries out. Kossaifi et al., Multi-Grid Tensorized Fourier Neural Operator, TMLR 2024, section 3, is the setting.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_module
from torch.distributed.tensor.experimental import implicit_replication

from pdeflow.models import truncated_fourier
from pdeflow.models.spectral_conv import SpectralConv, check_grid, contract_modes, scale_modes
from pdeflow.models.spectral_weight import Kernel
from pdeflow.models.truncated_fourier import kept_shape, truncated_inverse, truncated_transform


class SpatiallySharded(nn.Module):
    """Run a network with SpectralConv layers on fields sharded along an axis of the grid.

    Its parameters become DTensors, replicated on the mesh, in place; after a backward pass their gradients are replicated
    too. The names of the parameters change by the prefix "network." only.

    Args:
        network: An FNO or TFNO without domain padding, on 2- or 3-D fields.
        mesh: Devices, of one axis or more; batches may be sharded along the others.

    Raises:
        ValueError: If the network pads its domain or works on 1-D fields.
    """

    def __init__(self, network: nn.Module, mesh: DeviceMesh) -> None:
        super().__init__()
        if getattr(network, "domain_padding", 0):
            raise ValueError("a padded domain cannot be sharded: set domain_padding: 0")
        for parent in list(network.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, SpectralConv):
                    parent.add_module(name, ShardedSpectralConv(child))
        self.network = distribute_module(network, mesh)
        for parameter in self.network.parameters():
            parameter.register_post_accumulate_grad_hook(_replicate_gradient)

    def forward(self, a: Tensor) -> Tensor:
        """Predict.

        Args:
            a: Input fields, a DTensor of shape (batch, in_channels, *grid) with Shard(2) on one axis of the mesh: slabs
                along the first axis of the grid.

        Returns:
            Output fields, a DTensor of shape (batch, out_channels, *grid), sharded alike.

        Raises:
            ValueError: If a is not such a DTensor, or its slabs are not equal.
        """
        if not isinstance(a, DTensor) or Shard(2) not in a.placements:
            raise ValueError("expected a DTensor with Shard(2), slabs along the first axis of the grid; use distribute_tensor")
        devices = a.device_mesh.size(a.placements.index(Shard(2)))
        if a.shape[2] % devices:
            raise ValueError(f"grid {a.shape[2]} is not divisible by {devices} devices along axis 0; change the grid or the mesh")
        with implicit_replication():  # coordinates are plain tensors
            return self.network(a)


class ShardedSpectralConv(SpectralConv):
    """A SpectralConv whose input may be a DTensor of slabs; shares the parameters of the layer that it stands for.

    Args:
        conv: The layer.

    Raises:
        ValueError: If the layer works on 1-D fields.
    """

    def __init__(self, conv: SpectralConv) -> None:
        nn.Module.__init__(self)
        if len(conv.n_modes) < 2:
            raise ValueError(f"n_modes={conv.n_modes}: only 2- and 3-D fields can be sharded along their first axis")
        self.__dict__.update(conv.__dict__)

    def forward(
        self, x: Tensor, output_shape: Sequence[int] | None = None, *, add: Tensor | None = None, kernel: Kernel | None = None
    ) -> Tensor:  # fmt: skip
        """Convolve; as SpectralConv.forward, with x and the result sharded along axis 1 where x is a DTensor.

        Raises:
            ValueError: If a grid does not resolve the modes, the dtype differs, or another output grid is asked for.
        """
        if not isinstance(x, DTensor):
            return super().forward(x, output_shape, add=add, kernel=kernel)
        grid = tuple(x.shape[1:-1])
        check_grid(grid, self.n_modes)
        if output_shape is not None and tuple(output_shape) != grid:
            raise ValueError(f"sharded fields keep their grid {grid}, asked for {tuple(output_shape)}; gather them first")
        if kernel is None:
            assert self.weight is not None, "a layer without weight is given the kernel"
            kernel = self.weight.kernel()
        mesh, slabs = x.device_mesh, x.placements
        axis = slabs.index(Shard(1))
        summed = _at(slabs, axis, Partial())
        terms = [Replicate() if place.is_replicate() else Partial() for place in slabs]  # of the parameters' gradients

        def own(parameter: Tensor) -> Tensor:
            return parameter.to_local(grad_placements=terms) if isinstance(parameter, DTensor) else parameter

        local = x.to_local(grad_placements=slabs)
        local = local if kernel.into is None else local @ own(kernel.into)
        first = mesh.get_local_rank(axis) * local.shape[1]
        term = DTensor.from_local(transform_slab(local, self.n_modes, grid[0], first), mesh, summed, run_check=False)
        z = term.redistribute(placements=_at(slabs, axis, Replicate())).to_local(grad_placements=summed)
        z = scale_modes(z, own(kernel.modes)) if kernel.depthwise else contract_modes(z, own(kernel.modes))
        z = z if kernel.out is None else z @ own(kernel.out)
        y = inverse_slab(z, self.n_modes, grid, first, local.shape[1])
        y = y if self.bias is None else y + own(self.bias)
        out: Tensor = DTensor.from_local(y, mesh, slabs, run_check=False)
        return out if add is None else out + add


def transform_slab(x: Tensor, n_modes: Sequence[int], n: int, first: int) -> Tensor:
    """Compute a slab's term of the kept Fourier coefficients.

    Args:
        x: Slab, shape (batch, rows, *rest, channels).
        n_modes: Kept modes per axis of the whole grid, two or three.
        n: Points of the first axis of the whole grid.
        first: Where on it the slab begins.

    Returns:
        Term, shape (batch, 2, *kept, channels); the terms of all slabs add up to truncated_transform of the field.
    """
    batch, rows, channels = *x.shape[:2], x.shape[-1]
    z = truncated_transform(x.flatten(0, 1), n_modes[1:]).reshape(batch, 2 * rows, -1)
    matrix = truncated_fourier.transform_matrix("forward", n, n_modes[0], z)[:, 2 * first : 2 * (first + rows)]
    return (matrix @ z).reshape(batch, 2, *kept_shape(n_modes), channels)


def inverse_slab(z: Tensor, n_modes: Sequence[int], grid: Sequence[int], first: int, rows: int) -> Tensor:
    """Evaluate a truncated series on a slab.

    Args:
        z: Coefficients, shape (batch, 2, *kept, channels).
        n_modes: Kept modes per axis.
        grid: Points per axis of the whole grid.
        first: Where on the first axis the slab begins.
        rows: Its points on that axis.

    Returns:
        Rows first ... first + rows - 1 of truncated_inverse, shape (batch, rows, *rest, channels).
    """
    matrix = truncated_fourier.transform_matrix("inverse", grid[0], n_modes[0], z)[2 * first : 2 * (first + rows)]
    rest = (matrix @ z.reshape(len(z), 2 * n_modes[0], -1)).reshape(len(z) * rows, 2, *kept_shape(n_modes[1:]), z.shape[-1])
    return truncated_inverse(rest, n_modes[1:], grid[1:]).unflatten(0, (len(z), rows))


def _at(placements: Sequence[Placement], axis: int, value: Placement) -> list[Placement]:
    """Return the placements with another one on one axis of the mesh."""
    return [value if i == axis else old for i, old in enumerate(placements)]


@torch.no_grad()
def _replicate_gradient(parameter: Tensor) -> None:
    """Sum the devices' terms of a gradient."""
    if isinstance(parameter.grad, DTensor):
        parameter.grad = parameter.grad.redistribute(placements=[Replicate()] * parameter.grad.device_mesh.ndim)
