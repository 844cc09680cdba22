"""What a CUDA graph captures must wait for no device: no operation of a cycle may ask for a value or a shape that depends on one."""

import pytest
import torch
from torch.nn import functional

from pdeflow.geometry import Grid
from pdeflow.linalg import operators
from pdeflow.linalg.obstacles import Obstacles, obstacle_faces
from pdeflow.models import LearnedVCycle
from pdeflow.models.v_cycle_levels import _neighbours
from tests.device_waits import Refuse


def test_the_refusal_sees_what_waits():
    v = torch.arange(4.0)
    for call in (lambda: float(v.sum()), lambda: v[v > 1], lambda: bool((v > 1).any()), lambda: torch.nonzero(v), lambda: v.masked_select(v > 1), lambda: torch.where(v > 1, v, 0.0)):
        with pytest.raises(AssertionError, match="waits"), Refuse():
            call()


def ball(dim, side):
    points = torch.stack(torch.meshgrid(*[(torch.arange(side) + 0.5) / side] * dim, indexing="ij"), -1)
    return Obstacles((points - 0.5).norm(dim=-1) > 0.2, "neumann", ("x0-",))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("dim", "side"), [(2, 32), (3, 16)])
@pytest.mark.parametrize("around", [False, True])
def test_a_cycle_and_a_product_wait_for_no_device(dim, side, around, dtype):
    spacing, obstacles = Grid.unit((side,) * dim).spacing(), ball(dim, side) if around else None
    a = torch.ones(1, 1, *(side,) * dim, dtype=torch.float64)
    M = LearnedVCycle(dim=dim).on_device(a, spacing, dtype, obstacles)
    faces = operators.face_conductances(a[0, 0], spacing) if obstacles is None else obstacle_faces(a[0, 0], spacing, obstacles)
    r = torch.randn(2, *(side,) * dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = M.directions(r)
    with Refuse():
        found = M.directions(r)
        operators.apply(r, faces)
    assert torch.equal(found, expected)
    assert torch.isfinite(found).all()
    if obstacles is not None:  # there the system is diagonal, of the mean diagonal of the domain
        mean = operators.diagonal(faces)[obstacles.active].mean()
        torch.testing.assert_close(found[:, ~obstacles.active], (r / mean)[:, ~obstacles.active], rtol=1e-2 if dtype == torch.bfloat16 else 1e-6, atol=0)


def test_the_plane_on_a_gpu_adds_the_neighbours_that_a_convolution_weights_on_a_cpu():
    """In full float32: cuDNN would round the inputs of a convolution to TF32."""
    u = torch.randn(2, 1, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    stencil = LearnedVCycle().weights(torch.float64).transfer
    torch.testing.assert_close(_neighbours(u, stencil[1:, 1:]), functional.conv2d(u, stencil[None, None]), rtol=1e-12, atol=1e-14)
