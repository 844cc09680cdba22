"""Three ways to find the closest triangle and the side of a point: our trees, libigl on the CPU, warp on the GPU.

A back end only names the triangle and the sign; the closest point itself is always computed from the triangle in
float64, so that all back ends agree to round-off. libigl's signed distance is not used: with the fast winding number
w it multiplies the distance by 1 - 2w for a w that is no whole number.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.surface.closest import TriangleTree
from pdeflow.geometry.surface.winding import WindingTree

BackEnd = Literal["auto", "own", "libigl", "warp"]


class SurfaceQueries(Protocol):
    """Queries of a closed triangle surface."""

    def nearest_facet(self, x: Tensor) -> Tensor:
        """Return the id of the closest triangle of each point, shape (n,), int64."""

    def inside(self, x: Tensor) -> Tensor:
        """Return whether the winding number of each point exceeds ½, shape (n,)."""


class OwnQueries:
    """Our own trees, batched on torch.

    Args:
        vertices: Shape (v, 3), float64.
        faces: Shape (m, 3), int64.
    """

    def __init__(self, vertices: Tensor, faces: Tensor) -> None:
        self._corners = vertices[faces]

    @cached_property
    def _triangles(self) -> TriangleTree:
        return TriangleTree.build(self._corners)

    @cached_property
    def _winding(self) -> WindingTree:
        return WindingTree.build(self._corners)

    def nearest_facet(self, x: Tensor) -> Tensor:
        """Return the id of the closest triangle of each point, shape (n,), int64."""
        return self._triangles.closest(x)[2]

    def inside(self, x: Tensor) -> Tensor:
        """Return whether the winding number of each point exceeds ½, shape (n,)."""
        return self._winding.winding_number(x) > 0.5


class LibiglQueries:
    """libigl's axis-aligned box tree and fast winding number, float64 on the CPU.

    Args:
        vertices: Shape (v, 3), float64.
        faces: Shape (m, 3), int64.
    """

    def __init__(self, vertices: Tensor, faces: Tensor) -> None:
        self._vertices = np.asfortranarray(vertices.cpu().numpy())
        self._faces = np.asfortranarray(faces.cpu().numpy())

    @cached_property
    def _boxes(self) -> Any:
        import igl

        boxes = igl.AABB()
        boxes.init(self._vertices, self._faces)
        return boxes

    @cached_property
    def _winding(self) -> Any:
        import igl

        winding = igl.FastWindingNumberBVH()
        winding.init(self._vertices, self._faces)
        return winding

    def nearest_facet(self, x: Tensor) -> Tensor:
        """Return the id of the closest triangle of each point, shape (n,), int64."""
        _, facet, _ = self._boxes.squared_distance(self._vertices, self._faces, x.cpu().numpy())
        return torch.as_tensor(np.asarray(facet, dtype=np.int64), device=x.device)

    def inside(self, x: Tensor) -> Tensor:
        """Return whether the winding number of each point exceeds ½, shape (n,)."""
        return torch.as_tensor(self._winding.winding_number(x.cpu().numpy()) > 0.5, device=x.device)


class WarpQueries:
    """warp's bounding-volume hierarchy in float32, on the GPU where there is one.

    The named triangle is the closest one to about 1e-7 of the diameter, so that distances are too large by at most
    that; use it where speed on a GPU counts, not for walks with a shell below 1e-5 of the diameter.

    Args:
        vertices: Shape (v, 3), float64.
        faces: Shape (m, 3), int64.
    """

    def __init__(self, vertices: Tensor, faces: Tensor) -> None:
        warp: Any = import_module("warp")
        warp.init()
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        points = vertices.to(self._device, torch.float32).contiguous()
        indices = faces.to(self._device, torch.int32).contiguous().view(-1)
        self._mesh = warp.Mesh(
            points=warp.from_torch(points, dtype=warp.vec3),
            indices=warp.from_torch(indices),
            support_winding_number=True,
        )
        self._kernel = _warp_kernel(warp)

    def _query(self, x: Tensor) -> tuple[Tensor, Tensor]:
        warp: Any = import_module("warp")
        points = x.to(self._device, torch.float32).contiguous()
        facet = torch.zeros(len(x), dtype=torch.int32, device=self._device)
        sign = torch.ones(len(x), dtype=torch.float32, device=self._device)
        arrays = [warp.from_torch(points, dtype=warp.vec3), warp.from_torch(facet), warp.from_torch(sign)]
        warp.launch(self._kernel, dim=len(x), inputs=[self._mesh.id, *arrays], device=self._device)
        warp.synchronize_device(self._device)
        return facet.to(x.device, torch.int64), sign.to(x.device)

    def nearest_facet(self, x: Tensor) -> Tensor:
        """Return the id of the closest triangle of each point, shape (n,), int64."""
        return self._query(x)[0]

    def inside(self, x: Tensor) -> Tensor:
        """Return whether the winding number of each point exceeds ½, shape (n,)."""
        return self._query(x)[1] < 0


def _warp_kernel(wp: Any) -> Any:
    """Compile the query: closest triangle and sign by the winding number."""

    def query(mesh: Any, points: Any, facet: Any, sign: Any):  # type: ignore[no-untyped-def]
        i = wp.tid()
        found = wp.mesh_query_point_sign_winding_number(mesh, points[i], 1.0e12, 2.0, 0.5)
        facet[i] = found.face
        sign[i] = found.sign

    query.__annotations__ = {
        "mesh": wp.uint64,
        "points": wp.array(dtype=wp.vec3),
        "facet": wp.array(dtype=wp.int32),
        "sign": wp.array(dtype=wp.float32),
    }
    return wp.kernel(query, module="unique")


def surface_queries(vertices: Tensor, faces: Tensor, back_end: BackEnd = "auto") -> SurfaceQueries:
    """Return the queries of a closed surface.

    Args:
        vertices: Shape (v, 3), float64.
        faces: Shape (m, 3), int64, outward.
        back_end: "own", "libigl", "warp", or "auto": libigl if it is installed, else our own.

    Raises:
        UsageError: If the back end is unknown or not installed.
    """
    classes = {"own": OwnQueries, "libigl": LibiglQueries, "warp": WarpQueries}
    modules = {"libigl": "igl", "warp": "warp"}
    if back_end == "auto":
        back_end = "libigl" if find_spec("igl") else "own"
    if back_end not in classes:
        raise UsageError(f"back_end must be 'auto', 'own', 'libigl' or 'warp', got {back_end!r}")
    if back_end in modules and not find_spec(modules[back_end]):
        package = {"libigl": "libigl", "warp": "warp-lang"}[back_end]
        raise UsageError(
            f"back_end '{back_end}' is not installed; pip install {package}, or pass back_end='own'"
        )
    return classes[back_end](vertices, faces)  # type: ignore[return-value]
