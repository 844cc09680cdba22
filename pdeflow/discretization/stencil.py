"""A (2d+1)-point stencil on a grid of d axes as a CSR matrix, open or periodic along each axis.

Saad, Iterative Methods for Sparse Linear Systems, 2nd ed. (2003), sections 2.2.2 and 3.4 (matrices by diagonals).
"""

from __future__ import annotations

from math import prod

import numpy as np
import scipy.sparse as sp


def stencil_matrix(
    main: np.ndarray, lower: list[np.ndarray], upper: list[np.ndarray], periodic: tuple[bool, ...]
) -> sp.csr_matrix:
    """Assemble (A u)_i = main_i u_i - Σ_k lower_k,i u_(i - e_k) - Σ_k upper_k,i u_(i + e_k).

    Args:
        main: Diagonal, shape (*shape,).
        lower: Weight of the neighbour below along each axis, d arrays (*shape,); the first layer of an open axis is left out.
        upper: Weight of the neighbour above, d arrays (*shape,); the last layer of an open axis is left out.
        periodic: Whether each axis wraps around.

    Returns:
        CSR matrix (n, n) without stored zeros, indices sorted, ordered as `field.reshape(-1)`.
    """
    shape, n, dtype = main.shape, main.size, np.result_type(main, *lower, *upper)
    bands = np.zeros((1 + 2 * len(shape) + 2 * sum(periodic), n), dtype)
    slots = {0: 0}  # row of `bands` by offset; an axis of one or two values uses an offset twice
    bands[0] = main.reshape(-1)
    for k, length in enumerate(shape):
        stride = prod(shape[k + 1 :])
        for step, weight, edge in ((-stride, lower[k], 0), (stride, upper[k], length - 1)):
            wall = (slice(None),) * k + (edge,)
            inner = weight.copy()
            inner[wall] = 0.0
            _subtract(bands, slots, step, inner)
            if periodic[k]:
                seam = np.zeros_like(weight)
                seam[wall] = weight[wall]
                _subtract(bands, slots, -step * (length - 1), seam)
    matrix = sp.csr_matrix(sp.dia_array((bands[: len(slots)], list(slots)), shape=(n, n)))
    matrix.eliminate_zeros()
    return matrix


def _subtract(bands: np.ndarray, slots: dict[int, int], offset: int, weight: np.ndarray) -> None:
    """Subtract entries (i, i + offset), given by row, from a band, which SciPy stores by column."""
    band, row, n = bands[slots.setdefault(offset, len(slots))], weight.reshape(-1), bands.shape[1]
    if offset >= 0:
        band[offset:] -= row[: n - offset]
    else:
        band[:offset] -= row[-offset:]
