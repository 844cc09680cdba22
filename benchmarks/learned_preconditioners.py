"""What the benchmarks of learned preconditioners share: Poisson's equation in a box, and training without a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pdeflow.geometry import Box, Domain
from pdeflow.problems import Elliptic, Instance

QUIET = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Laplace(Elliptic):
    """-Δu = 1 in the unit box of so many dimensions, u = 0 on its boundary."""

    dim: int = 3

    @property
    def domain(self) -> Domain:
        """The unit box."""
        return Box.unit(self.dim)

    def sample(self, generator: torch.Generator) -> Instance:
        """Return the one instance."""
        return Instance({})

    def coefficient(self, instance: Instance, at: Any) -> torch.Tensor:
        """Return one."""
        return torch.ones((), dtype=torch.float64)

    def source(self, instance: Instance, at: Any) -> torch.Tensor:
        """Return one."""
        return torch.ones((), dtype=torch.float64)
