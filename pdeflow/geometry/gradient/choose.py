"""One entry to the gradient operators: of a mesh, a uniform or mapped grid, or a cloud of points.

Correa, Hero and Ma, A comparison of gradient estimation methods for volume rendering on unstructured meshes, IEEE
Trans. Vis. Comput. Graph. 17 (2011) 305.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry.gradient.curvilinear import curvilinear
from pdeflow.geometry.gradient.finite_element import averaged_gradient, cell_gradient
from pdeflow.geometry.gradient.least_squares import least_squares, least_squares_cloud
from pdeflow.geometry.gradient.operator import GradientOperator
from pdeflow.geometry.gradient.spectral import SpectralGradient, spectral_gradient
from pdeflow.geometry.layouts import GridLayout, MeshLayout, StructuredLayout

Method = Literal["cell", "avg", "wls1", "wls2", "curvilinear", "spectral"]


def gradient(
    layout: MeshLayout | StructuredLayout | Tensor, method: Method | None = None, order: int = 2
) -> GradientOperator | SpectralGradient:
    """Build the gradient of values on a layout.

    Args:
        layout: Mesh (values at its points), grid (flat values), or points (n, d) without cells.
        method: For meshes "wls2" (the default: order 2 up to the boundary), "wls1", "avg" (L² projection) or "cell"
            (one row per cell); for grids "curvilinear" (the default) or, on periodic uniform grids, "spectral"; for
            points "wls2" (the default) or "wls1".
        order: Even order of accuracy of "curvilinear".

    Returns:
        Linear map of point values (..., n, c) to gradients (..., n, c, d).

    Raises:
        UsageError: If the method does not fit the layout, or the layout has no gradient (too few points, collapsed
            or degenerate cells).
    """
    if isinstance(layout, Tensor):
        _check_finite(layout)
        if method in (None, "wls1", "wls2"):
            return least_squares_cloud(layout, 1 if method == "wls1" else 2)
    elif isinstance(layout, MeshLayout):
        return _of_mesh(layout, method or "wls2")
    elif method in (None, "curvilinear"):
        return curvilinear(layout, order)
    elif method == "spectral" and isinstance(layout, GridLayout):
        return spectral_gradient(layout)
    raise UsageError(_misfit(method, layout))


def mesh_gradient(
    mesh: MeshLayout, method: Literal["wls2", "wls1", "avg", "cell"] = "wls2"
) -> GradientOperator:
    """Return the gradient of values at the points of a mesh.

    Args:
        mesh: The mesh.
        method: "wls2" is of second order up to the boundary; "wls1" and "avg" are of first; "cell" has one row per cell.

    Returns:
        The operator in gather form.

    Raises:
        UsageError: If points have too few neighbours for the method, or it is another one.
    """
    return _of_mesh(mesh, method)


def _check_finite(points: Tensor) -> None:
    if not bool(torch.isfinite(points).all()):
        bad = int((~torch.isfinite(points).all(dim=1)).nonzero()[0])
        raise UsageError(f"point {bad} is not finite: {points[bad].tolist()}")


def _of_mesh(mesh: MeshLayout, method: str) -> GradientOperator:
    _check_finite(mesh.points)
    if method in ("wls1", "wls2"):
        return least_squares(mesh, 1 if method == "wls1" else 2)
    if method in ("avg", "cell"):
        return averaged_gradient(mesh) if method == "avg" else cell_gradient(mesh)
    raise UsageError(_misfit(method, mesh))


def _misfit(method: str | None, layout: object) -> str:
    known = {
        "Mesh": "'wls2', 'wls1', 'avg' or 'cell'",
        "Tensor": "'wls2' or 'wls1'",
        "Grid": "'curvilinear' or 'spectral'",
    }
    kind = type(layout).__name__
    return f"method {method!r} does not fit a {kind}; use {known.get(kind, repr('curvilinear'))}"
