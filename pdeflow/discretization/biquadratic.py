"""Isoparametric nine-node elements (Q2, with Q1 at their corners) on the nodes of a curvilinear grid, in the plane.

Zienkiewicz, Taylor and Zhu, The Finite Element Method, 6th ed. (2005), sections 4.6 (shape functions) and 5.4 (mapping).
Element (I, J) owns the nodes (2I … 2I + 2, 2J … 2J + 2); local node 3 i + j, local corner 2 i + j.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdeflow.errors import UsageError

GAUSS = np.array([0.5 - np.sqrt(0.15), 0.5, 0.5 + np.sqrt(0.15)])
GAUSS_WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18.0
BARLOW = np.array([0.5 - np.sqrt(1 / 12), 0.5 + np.sqrt(1 / 12)])
"""Where the derivatives of quadratic elements are superconvergent: the two Gauss points."""


def quadratic(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the three quadratic Lagrange polynomials on [0, 1] and their derivatives at t, each (len(t), 3)."""
    t = np.asarray(t, dtype=float)
    values = np.stack([(2 * t - 1) * (t - 1), 4 * t * (1 - t), t * (2 * t - 1)], axis=-1)
    return values, np.stack([4 * t - 3, 4 - 8 * t, 4 * t - 1], axis=-1)


def linear(t: np.ndarray) -> np.ndarray:
    """Return the two linear Lagrange polynomials on [0, 1] at t, shape (len(t), 2)."""
    return np.stack([1 - np.asarray(t, dtype=float), np.asarray(t, dtype=float)], axis=-1)


def product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Multiply values (p, a) and (q, b) of two axes: shape (p q, a b), the second axis fastest."""
    return np.einsum("pa,qb->pqab", first, second).reshape(
        len(first) * len(second), first.shape[1] * second.shape[1]
    )


@dataclass(frozen=True, eq=False)
class Side:
    """Curved edges on one side of the grid, each with three nodes and three quadrature points.

    Attributes:
        nodes: Node numbers, shape (e, 3).
        points: Quadrature points, shape (e, 3, 2).
        normals: Unit normals out of the region, shape (e, 3, 2).
        weights: Quadrature weights in length units, shape (e, 3).
    """

    nodes: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    weights: np.ndarray

    def part(self, chosen: np.ndarray) -> Side:
        """Keep some edges; chosen is a mask or an index of the edges."""
        return Side(self.nodes[chosen], self.points[chosen], self.normals[chosen], self.weights[chosen])

    @property
    def values(self) -> np.ndarray:
        """Shape functions of the edge's nodes at its quadrature points, shape (3 points, 3 nodes)."""
        return quadratic(GAUSS)[0]

    def load(self, density: np.ndarray, size: int) -> np.ndarray:
        """Integrate a vector density against every shape function.

        Args:
            density: Force per length at the quadrature points, shape (e, 3, 2) or (2,).
            size: Number of nodes of the grid.

        Returns:
            Nodal forces, shape (size, 2).
        """
        density = np.broadcast_to(density, self.points.shape)
        local = np.einsum("eq,qa,eqd->ead", self.weights, self.values, density)
        return sum_nodes(self.nodes, local, size)

    def flux(self, velocity: np.ndarray) -> float:
        """Integrate the outward component of nodal velocities, shape (n, 2), over the side."""
        at = np.einsum("qa,ead->eqd", self.values, velocity[self.nodes])
        return float(np.einsum("eq,eqd,eqd->", self.weights, at, self.normals))


@dataclass(frozen=True, eq=False)
class BiquadraticElements:
    """Nine-node elements on a grid of nodes.

    Attributes:
        coordinates: Node positions, shape (nx, ny, 2), in length units; odd counts, or even ones on a periodic axis.
        periodic: Whether the last node of each axis is joined to the first.

    Raises:
        UsageError: If a count has the wrong parity or an element is folded.
    """

    coordinates: np.ndarray
    periodic: Sequence[bool] = (False, False)

    def __post_init__(self) -> None:
        shape = self.coordinates.shape
        wrong = len(shape) != 3 or any(
            n < 3 or n % 2 == (not p) - 1 or (n % 2 == 1) == p
            for n, p in zip(shape, self.periodic, strict=False)
        )
        if wrong:
            raise UsageError(
                f"biquadratic elements need an odd number of nodes per axis (even on a periodic one), got "
                f"coordinates {shape} with periodic {tuple(self.periodic)}"
            )
        bad = np.flatnonzero((self._signed * self._orientation <= 0).any(axis=1))
        if bad.size:
            raise UsageError(
                f"{bad.size} elements are folded, first number {bad[0]}; use more elements or a smoother shape"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Nodes per axis."""
        return self.coordinates.shape[0], self.coordinates.shape[1]

    @property
    def counts(self) -> tuple[int, int]:
        """Elements per axis."""
        return self.shape[0] // 2, self.shape[1] // 2

    @property
    def size(self) -> int:
        """Number of nodes."""
        return self.shape[0] * self.shape[1]

    @property
    def corner_shape(self) -> tuple[int, int]:
        """Corners per axis, the nodes of the linear elements."""
        (m, n), (p, q) = self.counts, self.periodic
        return m + (not p), n + (not q)

    @cached_property
    def nodes(self) -> np.ndarray:
        """Node numbers i · ny + j of each element, shape (m, 9)."""
        return self._numbers(2, 3, self.shape)

    @cached_property
    def corners(self) -> np.ndarray:
        """Corner numbers of each element, shape (m, 4)."""
        return self._numbers(1, 2, self.corner_shape)

    def _numbers(self, stride: int, width: int, shape: tuple[int, int]) -> np.ndarray:
        first, second = (
            (stride * np.arange(m)[:, None] + np.arange(width)) % n
            for m, n in zip(self.counts, shape, strict=True)
        )
        number = first[:, None, :, None] * shape[1] + second[None, :, None, :]
        return number.reshape(-1, width * width)

    @cached_property
    def positions(self) -> np.ndarray:
        """Node positions of each element, shape (m, 9, 2)."""
        return self.coordinates.reshape(-1, 2)[self.nodes]

    @cached_property
    def values(self) -> np.ndarray:
        """Shape functions at the 3 × 3 quadrature points, shape (9 points, 9 nodes)."""
        return product(quadratic(GAUSS)[0], quadratic(GAUSS)[0])

    @cached_property
    def corner_values(self) -> np.ndarray:
        """Bilinear shape functions at the quadrature points, shape (9 points, 4 corners)."""
        return product(linear(GAUSS), linear(GAUSS))

    @cached_property
    def points(self) -> np.ndarray:
        """Quadrature points, shape (m, 9, 2)."""
        return self.values @ self.positions

    @cached_property
    def _signed(self) -> np.ndarray:
        return np.linalg.det(self._jacobian(GAUSS))

    @cached_property
    def _orientation(self) -> float:
        return float(np.sign(self._signed.sum()))

    @cached_property
    def weights(self) -> np.ndarray:
        """Quadrature weights in area units, shape (m, 9)."""
        return np.outer(GAUSS_WEIGHTS, GAUSS_WEIGHTS).ravel() * np.abs(self._signed)

    def _reference_gradients(self, t: np.ndarray) -> np.ndarray:
        values, slopes = quadratic(t)
        return np.stack([product(slopes, values), product(values, slopes)], axis=-1)

    def _jacobian(self, t: np.ndarray) -> np.ndarray:
        return np.einsum("mad,qae->mqde", self.positions, self._reference_gradients(t))

    @cached_property
    def gradients(self) -> np.ndarray:
        """Gradients of the shape functions at the quadrature points, shape (m, 9, 9 nodes, 2)."""
        return self.gradients_at(GAUSS)

    def gradients_at(self, t: np.ndarray) -> np.ndarray:
        """Return shape function gradients at the tensor product of the reference points t, shape (m, q², 9, 2)."""
        return self._reference_gradients(t) @ np.linalg.inv(self._jacobian(t))

    def side(self, axis: int, end: int) -> Side:
        """Return the edges of one side.

        Args:
            axis: 0 or 1.
            end: 0 for the first nodes of the axis, -1 for the last.
        """
        number = np.take(np.arange(self.size).reshape(self.shape), end, axis=axis)
        along = 1 - axis
        pick = (2 * np.arange(self.counts[along])[:, None] + np.arange(3)) % self.shape[along]
        nodes = number[pick]
        where = self.coordinates.reshape(-1, 2)[nodes]
        values, slopes = quadratic(GAUSS)
        tangent = np.einsum("qa,ead->eqd", slopes, where)
        length = np.linalg.norm(tangent, axis=-1)
        sign = self._orientation * (1 if end == 0 else -1) * (1 if axis == 1 else -1)
        normals = sign * np.stack([tangent[..., 1], -tangent[..., 0]], axis=-1) / length[..., None]
        return Side(nodes, np.einsum("qa,ead->eqd", values, where), normals, GAUSS_WEIGHTS * length)

    def load(self, density: np.ndarray) -> np.ndarray:
        """Integrate a vector density against every shape function.

        Args:
            density: Force per area at the quadrature points, shape (m, 9, 2).

        Returns:
            Nodal forces, shape (n, 2).
        """
        local = self.values.T @ (self.weights[..., None] * density)
        return sum_nodes(self.nodes, local, self.size)

    def average(self, values: np.ndarray) -> np.ndarray:
        """Carry values at the 2 × 2 Barlow points to the nodes: extrapolate bilinearly, then average over elements.

        Args:
            values: Shape (m, 4, …).

        Returns:
            Nodal values, shape (n, …).

        Reference: Barlow, Int. J. Numer. Methods Eng. 10 (1976) 243.
        """
        line = linear((np.array([0.0, 0.5, 1.0]) - BARLOW[0]) / (BARLOW[1] - BARLOW[0]))
        at_nodes = np.einsum("ab,mb...->ma...", product(line, line), values)
        count = np.bincount(self.nodes.ravel(), minlength=self.size)
        total = sum_nodes(self.nodes, at_nodes.reshape(*self.nodes.shape, -1), self.size)
        return (total / count[:, None]).reshape(self.size, *values.shape[2:])

    def spread_corners(self, values: np.ndarray) -> np.ndarray:
        """Interpolate corner values, shape (corners,), to all nodes, shape (n,)."""
        line = linear(np.array([0.0, 0.5, 1.0]))
        found = np.empty(self.size)
        found[self.nodes] = values[self.corners] @ product(line, line).T
        return found


def sum_nodes(nodes: np.ndarray, local: np.ndarray, size: int) -> np.ndarray:
    """Sum element values by node: nodes (m, k) and local (m, k, c) give (size, c)."""
    columns = [np.bincount(nodes.ravel(), local[..., c].ravel(), size) for c in range(local.shape[-1])]
    return np.stack(columns, axis=-1)
