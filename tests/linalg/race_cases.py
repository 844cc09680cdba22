"""Systems and candidates with a made-up clock that the tests of the race and of sequences share."""

from dataclasses import replace

import numpy as np
import torch

from pdeflow.discretization.finite_volume import diffusion_system
from pdeflow.geometry import Grid
from pdeflow.linalg.candidates import Candidate
from pdeflow.linalg.solution import Reason, verify

RTOL = 1e-8


def variable(index, n=8):
    a = torch.exp(torch.from_numpy(0.5 * np.random.default_rng(index).standard_normal((n, n))))
    return diffusion_system(Grid.unit((n, n)), a, torch.ones(n, n).double())


def one_matrix(index, n=8):
    return replace(variable(0, n), b=np.random.default_rng(index).standard_normal(n * n))


SYSTEMS = [variable(index) for index in range(6)]


class Clock:
    """Time that passes only when a candidate says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def dense(name, clock, seconds, *, wrong=0.0, log=None, **flags):
    """A candidate that solves densely in given seconds (one number, or one for each solve), off by a relative error."""
    times = iter(seconds) if isinstance(seconds, list) else None

    def solve(system, rtol, recycle=None):
        clock.now += seconds if times is None else next(times)
        if log is not None:
            log.append((name, recycle))
        x = np.linalg.solve(system.A.toarray(), system.b) * (1 + wrong)
        solution = verify(system, x, Reason.converged, rtol=rtol, method=name, recycle=(recycle or 0) + 1)
        return replace(solution, converged=True, reason=Reason.converged, residual=0.0)  # whatever it claims

    return Candidate(name, lambda system: None, solve, **flags)


def raising(name, error):
    def solve(system, rtol, recycle=None):
        raise error

    return Candidate(name, lambda system: None, solve)
