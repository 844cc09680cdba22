"""What the first systems of a sequence have in common: one matrix, one pattern, a box, few right-hand sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from pdeflow.errors import UsageError
from pdeflow.linalg.box_operator import UNBOXED, BoxOperator, box_of, box_operator
from pdeflow.linalg.structure import describe
from pdeflow.linalg.system import LinearSystem

PROBED = 3
"""Systems that the probe looks at."""
RANK_TOLERANCE = 1e-10
"""Singular values of the normalised right-hand sides below this share of the largest count as zero."""


@dataclass(frozen=True)
class Probe:
    """What the probed systems have in common.

    Attributes:
        count: Number of probed systems.
        same_pattern: Whether all matrices store the same entries.
        same_matrix: Whether all matrices are equal, bit for bit.
        rank: Rank of the right-hand sides.
        is_complex: Whether a matrix or right-hand side is complex.
        symmetric: Whether the first matrix equals its conjugate transpose.
        positive_definite: Whether it is known to be positive definite.
        box: Shape of the box whose (2d+1)-point stencil the first matrix is, or None.
        constant: Whether every probed matrix has constant coefficients on that box.
    """

    count: int
    same_pattern: bool
    same_matrix: bool
    rank: int
    is_complex: bool
    symmetric: bool
    positive_definite: bool
    box: tuple[int, ...] | None
    constant: bool

    def __str__(self) -> str:
        """One line for people."""
        words = [
            "one matrix" if self.same_matrix else "one pattern" if self.same_pattern else "changing patterns"
        ]
        words.append("complex" if self.is_complex else "real")
        words.append(
            ("symmetric" if self.symmetric else "nonsymmetric")
            + (", positive definite" if self.positive_definite else "")
        )
        if self.box:
            words.append(
                f"{'constant' if self.constant else 'variable'} coefficients on a box {'x'.join(map(str, self.box))}"
            )
        return ", ".join([*words, f"right-hand sides of rank {self.rank} among {self.count}"])


def detect(systems: Sequence[LinearSystem]) -> Probe:
    """Probe the first systems of a sequence.

    Args:
        systems: One system or more; the first three are looked at.

    Returns:
        What they have in common.

    Raises:
        UsageError: If there is no system.
    """
    if not systems:
        raise UsageError("got no systems to probe; pass at least one")
    probed = [known(system) for system in systems[:PROBED]]
    first = probed[0]
    pattern = all(same_pattern(first.A, system.A) for system in probed[1:]) and first.assembled
    matrix = pattern and all(
        np.array_equal(first.A.tocsr().data, system.A.tocsr().data) for system in probed[1:]
    )
    boxes = [_box(system) for system in (probed[:1] if matrix else probed)]
    return Probe(
        count=len(probed), same_pattern=pattern, same_matrix=matrix, rank=rank([system.b for system in probed]),
        is_complex=any(np.issubdtype(system.dtype, np.complexfloating) for system in probed),
        symmetric=bool(first.symmetric), positive_definite=bool(first.positive_definite),
        box=box_of(first) if first.assembled and boxes[0] not in UNBOXED else None,
        constant=all(isinstance(box, BoxOperator) for box in boxes),
    )  # fmt: skip


def same_pattern(A: Any, B: Any) -> bool:
    """Whether two sparse matrices of one type store the same entries, in one order; False for operators.

    Args:
        A: Sparse matrix, or an operator.
        B: Another one.
    """
    if not (sp.issparse(A) and sp.issparse(B)) or A.shape != B.shape:
        return False
    A, B = A.tocsr(), B.tocsr()
    same = A.dtype == B.dtype and np.array_equal(A.indptr, B.indptr)
    return bool(same and np.array_equal(A.indices, B.indices))


def known(system: LinearSystem) -> LinearSystem:
    """Fill in what the system leaves unknown about symmetry and definiteness.

    Args:
        system: Any system.

    Returns:
        The system itself where both are declared, or symmetry is denied.
    """
    if system.symmetric is False or (system.symmetric is not None and system.positive_definite is not None):
        return system
    found = describe(system.A)
    symmetric = found.hermitian if system.symmetric is None else system.symmetric
    definite = found.positive_definite if system.positive_definite is None else system.positive_definite
    return replace(system, symmetric=symmetric, positive_definite=definite)


def alike(system: LinearSystem, first: LinearSystem) -> LinearSystem:
    """Take over from the first system of a sequence what another leaves unknown.

    Args:
        system: Any system of the sequence.
        first: A known one.
    """
    if system.symmetric is not None and system.positive_definite is not None:
        return system
    symmetric = first.symmetric if system.symmetric is None else system.symmetric
    definite = first.positive_definite if system.positive_definite is None else system.positive_definite
    return (
        system
        if symmetric is False is system.symmetric
        else replace(system, symmetric=symmetric, positive_definite=definite)
    )


def rank(vectors: Sequence[np.ndarray]) -> int:
    """Numerical rank of a few vectors of one length, each scaled to norm one; their number where the lengths differ.

    Args:
        vectors: Arrays of shape (n,).
    """
    if len({v.shape for v in vectors}) != 1:
        return len(vectors)
    norms = [float(np.linalg.norm(v)) for v in vectors]
    columns = [v / norm for v, norm in zip(vectors, norms, strict=True) if norm > 0]
    if not columns:
        return 0
    singular = np.linalg.svd(np.stack(columns), compute_uv=False)
    return int(np.sum(singular > RANK_TOLERANCE * singular[0]))


def _box(system: LinearSystem) -> BoxOperator | str:
    return box_operator(system.A, box_of(system)) if system.assembled else "A is an operator"
