"""Race again when a generation slows down: its samples may have become harder, or suit another solver.

That is when the running median of the times doubles. A change is written to plan.json before the first
chain that it concerns, so that a resumed generation makes the same choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pdeflow.generation.plan import ids_of, solver_of, with_change
from pdeflow.generation.recipe import Chain, Recipe
from pdeflow.linalg.sequence import Drift

WINDOW = 5
"""Chains whose median is compared."""


class DriftWatch:
    """Hands out samples and solver of each chain, and changes the solver when finished chains say so.

    Args:
        root: Folder of the dataset.
        recipe: What is generated.
        plan: Its plan.
        race: Gives the winner on the first samples of a chain; None keeps the solver whatever happens.
        window: Chains whose median is compared.
    """

    def __init__(
        self, root: Path, recipe: Recipe, plan: dict[str, Any], race: Callable[[Sequence[int]], dict[str, Any]] | None,
        window: int = WINDOW,
    ) -> None:  # fmt: skip
        self.root, self.plan, self.race, self.window = root, plan, race, window
        written = [chain.index for chain in recipe.chains() if (root / chain.sidecar).is_file()]
        self.begun = max(written, default=-1)
        self.drift, self.since = Drift(window=window), 0

    def assign(self, chain: Chain) -> tuple[list[int], str]:
        """Return the numbers of the samples of a chain and the word of its solver, raced anew where that is due.

        Args:
            chain: The chain that is handed out next; none after it has begun, unless an earlier call wrote it.
        """
        if self.race is not None and self.drift.due and chain.index > self.begun:
            found = self.race(ids_of(self.plan, chain))
            if found["solver"] != solver_of(self.plan, chain):
                change = {
                    "from_chain": chain.index,
                    "solver": found["solver"],
                    "seconds_per_sample": found["seconds_per_sample"],
                }
                self.plan = with_change(self.root, self.plan, change)
            self.drift, self.since = Drift(window=self.window), chain.index
        self.begun = max(self.begun, chain.index)
        return ids_of(self.plan, chain), solver_of(self.plan, chain)

    def finished(self, chain: Chain, told: dict[str, Any]) -> None:
        """Note the seconds of a chain.

        Args:
            chain: The chain; one that was handed out before the last race does not count.
            told: {"processor_seconds", "count", ...}.
        """
        if self.race is not None and chain.index >= self.since:
            self.drift = self.drift.after(told["processor_seconds"] / told["count"])
