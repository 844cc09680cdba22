"""The fastest solver of a sequence of systems, found by letting every one that suits solve the first few.

What decides is the median time among those whose true residual is small.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pdeflow.errors import DataError
from pdeflow.linalg.candidates import Candidate, default_candidates
from pdeflow.linalg.heat import RACED, RUN_OFF, Clock, Heat, Runner, cost_of, in_one_line
from pdeflow.linalg.probe import Probe, alike, detect, known
from pdeflow.linalg.system import LinearSystem

MEMORY_SHARE = 0.4
BYTES_PER_ENTRY = 16


@dataclass(frozen=True, eq=False)
class Race:
    """Result of a race.

    Attributes:
        winner: The fastest candidate.
        seconds: Median seconds per system of those that solved all, fastest first.
        reasons: Why each of the others did not.
        recycle: State of the winner after the raced systems.
        probe: What the systems have in common.
        residuals: Largest true relative residual of those that solved all.
        slower: Least seconds of those that solved a system and were left behind, fastest first.
    """

    winner: Candidate
    seconds: dict[str, float]
    reasons: dict[str, str]
    recycle: Any = None
    probe: Probe | None = None
    residuals: dict[str, float] = field(default_factory=dict)
    slower: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line for people."""
        others = [f"{name} {1e3 * s:.3g} ms" for name, s in self.seconds.items() if name != self.winner.name]
        best = f"{self.winner.name} {1e3 * self.seconds[self.winner.name]:.3g} ms"
        return "; ".join([best, *others[:3]])


def race(
    systems: Sequence[LinearSystem], rtol: float, candidates: Sequence[Candidate] | None = None, limit: float = 3.0,
    memory: float | None = None, clock: Clock = time.thread_time,
) -> Race:  # fmt: skip
    """Find the fastest candidate on the first systems of a sequence.

    Who exploits the structure runs first, and alone if it succeeds. One system warms up, three count, six more if close.

    Args:
        systems: One system or more, in the order in which they will be solved; four, where two are close ten.
        rtol: Largest accepted ||b - A x|| / ||b||.
        candidates: Who runs; all of `default_candidates` by default.
        limit: Time over that of the fastest at which a candidate is left behind; it shrinks from system to system.
        memory: Bytes of RAM, of which a factorization may take 40 %; by default what is installed.
        clock: Seconds; by default of this thread's processor, which other work on the machine does not change.

    Returns:
        The result; equal times give equal results.

    Raises:
        UsageError: If there is no system.
        DataError: If no candidate solves them, with the reasons.
    """
    probe, first = detect(systems), known(systems[0])
    raced = [first, *(alike(system, first) for system in systems[1 : RACED + RUN_OFF])]
    reasons: dict[str, str] = {}
    fitting = [
        c
        for c in (default_candidates() if candidates is None else candidates)
        if not _refused(c, first, probe, reasons)
    ]
    fitting = _affordable(fitting, first, installed_memory() if memory is None else memory, reasons)
    heat = Heat(raced, rtol, limit, clock, reasons)
    finished = heat.run([c for c in fitting if c.structural])
    if finished:
        told = f"not tried: {finished[0].candidate.name} exploits the structure"
        reasons.update({c.name: told for c in fitting if not c.structural})
    elif not (finished := heat.run([c for c in fitting if not c.structural])):
        raise DataError(f"no candidate solves these systems to rtol {rtol:.0e} ({_listed(reasons)})")
    slower = dict(sorted(heat.slower.items(), key=lambda item: item[1]))
    return replace(_result(finished, reasons, probe), slower=slower)


def _listed(reasons: dict[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())


def _result(ranked: list[Runner], reasons: dict[str, str], probe: Probe) -> Race:
    seconds = {runner.candidate.name: runner.median for runner in ranked}
    residuals = {runner.candidate.name: runner.residual for runner in ranked}
    return Race(ranked[0].candidate, seconds, reasons, ranked[0].state, probe, residuals)


def _refused(candidate: Candidate, system: LinearSystem, probe: Probe, reasons: dict[str, str]) -> bool:
    """Ask a candidate whether it suits, and note why not."""
    try:
        reason = candidate.fits(probe) or candidate.suits(system)
    except Exception as error:  # a candidate's failure is a result
        reason = in_one_line(error)
    if reason is not None:
        reasons[candidate.name] = reason
    return reason is not None


def _affordable(
    fitting: list[Candidate], system: LinearSystem, memory: float, reasons: dict[str, str]
) -> list[Candidate]:
    """Drop what would need more than its share of the memory."""
    kept = []
    for candidate in fitting:
        entries = cost_of(candidate, system).entries if candidate.factors else 0.0
        if entries * BYTES_PER_ENTRY < MEMORY_SHARE * memory:
            kept.append(candidate)
            continue
        need, may = entries * BYTES_PER_ENTRY / 1e9, MEMORY_SHARE * memory / 1e9
        reasons[candidate.name] = f"memory: the factor needs about {need:.2g} GB, {may:.2g} GB may be used"
    return kept


def installed_memory() -> float:
    """Return the bytes of RAM of the machine, or infinity where the system does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return float("inf")
