"""Gaussian random fields from a fixed table of modes: one seed gives the same function at every resolution.

Covariance s² (-Δ + τ²)^(-α): Lindgren, Rue and Lindström, J. R. Stat. Soc. B 73 (2011), eq. (2);
cosine, sine and Fourier expansions on a box as in Lord, Powell and Shardlow, "An Introduction to Computational
Stochastic PDEs" (2014), section 7.4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.geometry import Box, Domain, Grid
from pdeflow.geometry.mesh import Mesh
from pdeflow.linalg import LinearSystem
from pdeflow.linalg.direct import factorize

BoundaryKind = Literal["neumann", "dirichlet", "periodic"]


def basis(kind: BoundaryKind, x: Tensor, lower: float, length: float, modes: int) -> Tensor:
    """Evaluate the L²-normalised eigenfunctions of -d²/dx² on [lower, lower + length].

    Args:
        kind: "neumann": 1, √2 cos(πkx); "dirichlet": √2 sin(π(k+1)x); "periodic": 1, √2 cos(2πx), √2 sin(2πx), …
        x: Coordinates, shape (n,), length units.
        lower: Lower end.
        length: Length of the interval.
        modes: Number of functions K.

    Returns:
        Values, shape (n, K), normalised for the unit interval (dimensionless).
    """
    t = (x - lower).unsqueeze(-1) / length  # (n, 1)
    k = torch.arange(modes, dtype=x.dtype)
    if kind == "dirichlet":
        return math.sqrt(2) * torch.sin(math.pi * (k + 1) * t)
    if kind == "neumann":
        return torch.where(k == 0, 1.0, math.sqrt(2)) * torch.cos(math.pi * k * t)
    wave = 2 * math.pi * torch.ceil(k / 2) * t
    return torch.where(k == 0, 1.0, math.sqrt(2)) * torch.where(
        k % 2 == 1, torch.cos(wave), torch.sin(wave + (k == 0) * math.pi / 2)
    )


def wavenumbers(kind: BoundaryKind, length: float, modes: int) -> Tensor:
    """Return the wave numbers of `basis`, shape (K,), in one over the length unit."""
    k = torch.arange(modes, dtype=torch.float64)
    count = {"dirichlet": k + 1, "neumann": k, "periodic": 2 * torch.ceil(k / 2)}[kind]
    return math.pi * count / length


@dataclass(frozen=True)
class Field:
    """A function on a box given by its coefficients in a product basis and a pointwise map.

    Attributes:
        coefficients: Table of mode coefficients, shape (K,) * d, float64.
        box: Where the function lives.
        kind: Basis of `basis`.
        transform: Pointwise map applied to the sum, for example exp or a threshold.
    """

    coefficients: Tensor
    box: Box
    kind: BoundaryKind = "neumann"
    transform: Callable[[Tensor], Tensor] | None = None

    def _factors(self, axes: list[Tensor]) -> list[Tensor]:
        ends = zip(self.box.lower, self.box.upper, strict=True)
        return [
            basis(self.kind, x, low, high - low, modes)
            for x, (low, high), modes in zip(axes, ends, self.coefficients.shape, strict=True)
        ]

    def on(self, grid: Grid) -> Tensor:
        """Evaluate on a grid; modes that the grid cannot carry (k >= n) are left out.

        Args:
            grid: Grid of d axes inside the box.

        Returns:
            Values, shape (*grid.shape,), float64.

        Raises:
            ValueError: If the number of axes differs from the field's.
        """
        if grid.ndim != self.coefficients.ndim:
            raise ValueError(f"the field is {self.coefficients.ndim}-D but the grid is {grid.ndim}-D")
        values = self.coefficients
        tables = basis_on(grid, self.box, self.kind, tuple(self.coefficients.shape))
        for factor, n in zip(tables, grid.shape, strict=True):
            kept = min(n, values.shape[0])
            values = torch.tensordot(
                values[:kept], factor[:, :kept], dims=([0], [1])
            )  # the new axis goes last
        return self.transform(values) if self.transform else values

    def at(self, x: Tensor) -> Tensor:
        """Evaluate at points, differentiably.

        Args:
            x: Points, shape (n, d).

        Returns:
            Values, shape (n,).
        """
        factors = self._factors(list(x.unbind(-1)))
        values = torch.einsum("nk,k...->n...", factors[0], self.coefficients)
        for factor in factors[1:]:
            values = torch.einsum("nk,nk...->n...", factor, values)
        return self.transform(values) if self.transform else values


@lru_cache(maxsize=16)
def basis_on(grid: Grid, box: Box, kind: BoundaryKind, modes: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Evaluate the basis along every axis of a grid; the same for all fields of a distribution, so the last ones are kept.

    Args:
        grid: Grid of d axes.
        box: Where the fields live.
        kind: Basis of `basis`.
        modes: Number of functions per axis.

    Returns:
        One table (n, K) per axis; not to be changed.
    """
    ends = zip(box.lower, box.upper, strict=True)
    return tuple(
        basis(kind, grid.axis(k), low, high - low, modes[k]) for k, (low, high) in enumerate(ends)
    )


def bounding_box(domain: Domain) -> Box:
    """Return the box around a bounded domain; a box is its own.

    Args:
        domain: Where a field is wanted.

    Raises:
        UsageError: If the domain is not bounded.
    """
    if isinstance(domain, Box):
        return domain
    lower, upper = (tuple(float(ends[side]) for ends in domain.bounds) for side in (0, 1))
    if not all(map(math.isfinite, (*lower, *upper))):
        raise UsageError(f"a random field needs a bounded domain, got bounds {domain.bounds}; pass a Box")
    return Box(lower, upper)


def gaussian_random_field(
    domain: Domain,
    alpha: float,
    tau: float,
    *,
    generator: torch.Generator,
    kind: BoundaryKind = "neumann",
    scale: float | None = None,
    modes: int = 64,
) -> Field:
    """Draw a Gaussian random field with covariance s² (-Δ + τ²)^(-α) and zero mean.

    Args:
        domain: Where the field lives; one that is no box is replaced by the box around it.
        alpha: Smoothness, dimensionless; the variance is finite for α > d/2.
        tau: Inverse correlation length, in one over the length unit.
        generator: Source of randomness; equal states give equal fields.
        kind: Boundary condition of the eigenfunctions.
        scale: The factor s; by default τ^(α - d/2), which keeps the variance of order one.
        modes: Size K of the mode table per axis, fixed so that fields nest across resolutions.

    Returns:
        The field; evaluate it with `.on(grid)` or `.at(points)`.

    Raises:
        ValueError: If alpha <= d/2 or modes < 1.

    Reference: Lindgren, Rue and Lindström (2011), eq. (2).
    """
    box = bounding_box(domain)
    if alpha <= box.dim / 2:
        raise ValueError(f"alpha must exceed d/2 = {box.dim / 2} for a finite variance, got {alpha}")
    if modes < 1:
        raise ValueError(f"a field needs at least one mode per axis, got {modes}")
    amplitude = field_amplitudes(box, alpha, tau, kind=kind, scale=scale, modes=modes)
    noise = torch.randn(amplitude.shape, generator=generator, dtype=torch.float64)
    return Field(amplitude * noise, box, kind)


@lru_cache(maxsize=16)
def field_amplitudes(
    box: Box, alpha: float, tau: float, *, kind: BoundaryKind, scale: float | None = None, modes: int = 64
) -> Tensor:
    """Return the standard deviation of each mode coefficient, shape (K,) * d; the constant mode is removed; not to be changed."""
    lengths = [high - low for low, high in zip(box.lower, box.upper, strict=True)]
    squares = [wavenumbers(kind, length, modes) ** 2 for length in lengths]
    eigenvalue = torch.stack(torch.meshgrid(*squares, indexing="ij")).sum(0)
    s = tau ** (alpha - box.dim / 2) if scale is None else scale
    amplitude = s * (eigenvalue + tau**2) ** (-alpha / 2) / math.sqrt(math.prod(lengths))
    return torch.where(eigenvalue == 0, 0.0, amplitude)


def field_deviation(
    domain: Domain,
    alpha: float,
    tau: float,
    *,
    kind: BoundaryKind = "neumann",
    scale: float | None = None,
    modes: int = 64,
) -> float:
    """Return the root of the variance of a field, averaged over the box around the domain, dimensionless."""
    amplitude = field_amplitudes(bounding_box(domain), alpha, tau, kind=kind, scale=scale, modes=modes)
    return float((amplitude**2).sum().sqrt())


class MeshFieldSampler:
    """Gaussian random fields at the nodes of a mesh: covariance s² (-Δ + τ²)^(-α), natural Neumann boundary, zero mean.

    With the stiffness K and the lumped mass M of linear elements and L = M⁻¹(K + τ²M), a field is s L^(-α/2) M^(-1/2) ξ;
    the factorization is done once. A field of a box (`gaussian_random_field(...).at(mesh.points)`) is cheaper and free of
    the rise of variance near the boundary; this one follows the shape of the domain.

    Reference: Lindgren, Rue and Lindström (2011), section 2.3 (recursion in α, lumped mass).
    """

    def __init__(self, mesh: Mesh, alpha: float, tau: float, *, scale: float | None = None) -> None:
        """Assemble and factor K + τ²M.

        Args:
            mesh: Mesh of linear cells, n points.
            alpha: Smoothness, an even whole number above d/2: each solve gives two.
            tau: Inverse correlation length, in one over the length unit, positive.
            scale: The factor s; by default τ^(α - d/2).

        Raises:
            UsageError: If alpha is odd, not whole or not above d/2, or tau is not positive.
        """
        dim = mesh.points.shape[1]
        if alpha % 2 or alpha <= dim / 2 or tau <= 0:
            raise UsageError(
                f"on a {dim}-D mesh alpha must be an even number above {dim / 2} and tau positive, got {alpha} and {tau}"
            )
        K, self.mass = _stiffness_and_lumped_mass(mesh)
        A = sp.csr_matrix(K + tau**2 * sp.diags_array(self.mass))
        self._solve, _ = factorize(
            LinearSystem(A, np.zeros(len(self.mass)), symmetric=True, positive_definite=True)
        )
        self._solves, self._scale = int(alpha) // 2, tau ** (alpha - dim / 2) if scale is None else scale

    def of_noise(self, noise: Tensor) -> Tensor:
        """Turn white noise into the field; linear, so one noise gives one field.

        Args:
            noise: Independent standard normal values, shape (n,).

        Returns:
            Node values, shape (n,), float64.
        """
        load = self._scale * np.sqrt(self.mass) * noise.double().numpy()
        for _ in range(self._solves):
            u = self._solve(load)
            load = self.mass * u
        return torch.from_numpy(u - load.sum() / self.mass.sum())  # constants are an eigenfunction: left out

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw a field.

        Args:
            generator: Source of randomness.

        Returns:
            Node values, shape (n,), float64.
        """
        return self.of_noise(torch.randn(len(self.mass), generator=generator, dtype=torch.float64))


def _stiffness_and_lumped_mass(mesh: Mesh) -> tuple[sp.csr_matrix, np.ndarray]:
    """Matrices of linear elements, the mass as row sums, shape (n,)."""
    from skfem import Basis
    from skfem.models import laplace, mass

    cells = mesh.to_skfem()
    basis = Basis(cells, cells.elem())
    return laplace.assemble(basis), np.asarray(mass.assemble(basis).sum(axis=1)).ravel()
