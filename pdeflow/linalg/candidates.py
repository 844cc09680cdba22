"""The solvers that a race tries, in the order in which it tries them: what is usually fast comes first."""

from __future__ import annotations

from pdeflow.linalg.candidate import Candidate
from pdeflow.linalg.direct_candidates import FACTOR_ONCE, FAST_TRANSFORM, SUPERPOSITION, reused_analysis
from pdeflow.linalg.krylov_candidates import CONJUGATE_GRADIENTS, GENERAL, RECYCLED

__all__ = ["Candidate", "default_candidates"]


def default_candidates() -> tuple[Candidate, ...]:
    """Return every candidate: first those for special structure, then fast ones, so that slow ones are stopped early."""
    fast, *conjugate = CONJUGATE_GRADIENTS
    direct = [
        reused_analysis(name) for name in ("CHOLMOD", "KLU", "UMFPACK", "SuperLU, symmetric mode", "SuperLU")
    ]
    return (FAST_TRANSFORM, SUPERPOSITION, FACTOR_ONCE, fast, *direct, *conjugate, *GENERAL, *RECYCLED)
