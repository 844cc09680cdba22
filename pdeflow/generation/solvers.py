"""Solvers of a chain by the recipe's word: what one solve learns is handed to the next, and to nobody else.

The words are "direct", "cg" (with algebraic multigrid) and the names of the candidates of a race, in lower case with
underscores.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from pdeflow.errors import UsageError
from pdeflow.linalg import LinearSystem, Solution, solve
from pdeflow.linalg.candidates import Candidate, default_candidates
from pdeflow.linalg.probe import alike, known

FIXED = {"direct": ("direct", "none"), "cg": ("cg", "amg")}
"""Method and preconditioner of the two words that need no race; each is the other's fallback."""


class Unsolved(ValueError):
    """A solver did not reach the tolerance, or does not suit the system."""


def word_of(name: str) -> str:
    """Return the word for a candidate: "CG + AMG (aggregation)" is "cg_amg_aggregation"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def raced() -> dict[str, Candidate]:
    """Return the candidates of a race by their words."""
    return {word_of(candidate.name): candidate for candidate in default_candidates()}


def check_method(method: str) -> None:
    """Refuse a word that names no solver.

    Args:
        method: The recipe's word.

    Raises:
        UsageError: With the words that there are.
    """
    words = ["auto", *FIXED, *raced()]
    if method not in words:
        raise UsageError(f"method must be one of {', '.join(words)}, got {method!r}")


def title(word: str) -> str:
    """Return what people call the solver behind a word."""
    names = {"direct": "sparse direct", "cg": "CG with algebraic multigrid"}
    return names.get(word) or raced()[word].name


class ChainSolver:
    """Solves the systems of one chain in their order; a call that fails starts the next one from nothing.

    Args:
        word: The recipe's word.
        rtol: Relative tolerance.
    """

    def __init__(self, word: str, rtol: float) -> None:
        self.word, self.rtol = word, rtol
        self.candidate = None if word in FIXED else raced()[word]
        self.state: Any = None
        self.first: LinearSystem | None = None

    def __call__(self, system: LinearSystem) -> Solution:
        """Solve one system.

        Args:
            system: The next system of the chain.

        Returns:
            A verified solution.

        Raises:
            Unsolved: If the method does not suit the matrix, or the tolerance is not reached.
        """
        state, self.state = self.state, None
        try:
            solution = self._solution(system, state)
        except (UsageError, ArithmeticError) as error:
            raise Unsolved(str(error)) from error
        if not solution.converged:
            raise Unsolved(f"{solution.reason.name}, residual {solution.residual:.1e}")
        self.state = solution.recycle
        return solution

    def _solution(self, system: LinearSystem, state: Any) -> Solution:
        if self.candidate is None:
            method, preconditioner = FIXED[self.word]
            return solve(system, method=method, preconditioner=preconditioner, rtol=self.rtol)
        self.first = self.first or known(system)
        return self.candidate.solve(alike(system, self.first), self.rtol, state)
