"""Bars, rim, forces and triangle shapes of a planar truss, on plain arrays.

Persson and Strang, SIAM Rev. 46 (2004), 329-345, section 2.
"""

from __future__ import annotations

import math

import numpy as np

STRETCH = 1.2
"""Bars are longer at rest than they are on average, so that points spread; as published."""


def bars(cells: np.ndarray) -> np.ndarray:
    """Return the edges of triangles (m, 3), each once, shape (k, 2)."""
    return np.unique(np.sort(cells[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)


def rim(cells: np.ndarray) -> np.ndarray:
    """Return the edges of one triangle only, shape (k, 2)."""
    edges = cells[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    _, first, counts = np.unique(np.sort(edges, axis=1), axis=0, return_index=True, return_counts=True)
    return edges[first[counts == 1]]


def forces(points: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the force on each point, the lengths of the bars and their length at rest.

    Args:
        points: Coordinates, shape (n, 2).
        ends: Vertex ids of the bars, shape (k, 2).

    Returns:
        Shapes (n, 2), (k,) and (k,).
    """
    across = points[ends[:, 0]] - points[ends[:, 1]]
    length = np.maximum(np.sqrt((across**2).sum(axis=1)), 1e-300)
    rest = np.full_like(length, STRETCH * math.sqrt(float((length**2).mean())))
    push = (np.maximum(rest - length, 0.0) / length)[:, None] * across
    force = np.zeros_like(points)
    for axis in range(2):
        one, other = (np.bincount(ends[:, k], push[:, axis], len(points)) for k in range(2))
        force[:, axis] = one - other
    return force, length, rest


def twice_area(corners: np.ndarray) -> np.ndarray:
    """Return twice the signed areas of triangles (m, 3, 2), shape (m,)."""
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]


def quality(corners: np.ndarray) -> np.ndarray:
    """Return 4√3 area / Σ length² of triangles (m, 3, 2), shape (m,)."""
    squares = ((corners - corners[:, [1, 2, 0]]) ** 2).sum(axis=(1, 2))
    return 2 * math.sqrt(3) * np.abs(twice_area(corners)) / squares
