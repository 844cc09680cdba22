"""What to generate, and its division into chains: fixed runs of samples, each of which is one shard."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pdeflow import seeds
from pdeflow.data.manifest import SPLITS
from pdeflow.errors import UsageError
from pdeflow.generation.solvers import check_method
from pdeflow.problems import Problem
from pdeflow.problems.instance import Resolution
from pdeflow.problems.problem import problem_from

ORDERS = ("none", "similar")


@dataclass(frozen=True)
class Chain:
    """Samples start .. start + count - 1 of one split; written to one file.

    Attributes:
        index: Number of the chain, over all splits.
        split: "train", "valid" or "test".
        file: Path relative to the dataset.
        start: First place in the order of all samples; without an order, the first sample id.
        count: Number of samples.
    """

    index: int
    split: str
    file: str
    start: int
    count: int

    @property
    def places(self) -> range:
        """Places of its samples in the order of all; without an order, their numbers."""
        return range(self.start, self.start + self.count)

    @property
    def sidecar(self) -> str:
        """Path of the JSON file beside the shard; it is written last, so it marks a whole shard."""
        return self.file.removesuffix(".hdf5") + ".json"


@dataclass(frozen=True)
class Recipe:
    """Everything that the data depend on; equal recipes give equal bytes.

    Attributes:
        problem: {"class_path", "init_args"}.
        name: Name of the dataset.
        count: Samples by split.
        grid: Cells per axis, or None for a mesh.
        h: Mesh size in length units, or None for a grid.
        seed: Root seed; sample i depends on (seed, i) only.
        method: "auto" (the fastest, by a race), "direct", "cg" with algebraic multigrid, or another solver of a race.
        rtol: Relative tolerance of every solve.
        chain_length: Samples of a chain.
        order: "none", or "similar": samples whose systems are alike follow each other, inside each split.
    """

    problem: Mapping[str, Any]
    name: str
    count: Mapping[str, int]
    grid: tuple[int, ...] | None
    seed: int
    method: str
    rtol: float
    chain_length: int
    h: float | None = None
    order: str = "none"

    def __post_init__(self) -> None:
        if re.fullmatch(r"[\w.-]+", self.name) is None:
            raise UsageError(f"the name must consist of letters, digits, _, - and ., got {self.name!r}")
        unknown = [split for split in self.count if split not in SPLITS]
        if unknown or not self.count or any(not isinstance(n, int) or n < 1 for n in self.count.values()):
            raise UsageError(
                f"count must map {', '.join(SPLITS)} to positive whole numbers, got {dict(self.count)}"
            )
        check_method(self.method)
        if self.order not in ORDERS:
            raise UsageError(f"order must be one of {', '.join(ORDERS)}, got {self.order!r}")
        if not 1e-15 < self.rtol < 1:
            raise UsageError(f"rtol must lie between 1e-15 and 1, got {self.rtol}")
        if self.chain_length < 1 or self.seed < 0:
            raise UsageError(
                f"chain_length must be >= 1 and seed >= 0, got {self.chain_length} and {self.seed}"
            )
        if (self.grid is None) == (self.h is None):
            raise UsageError(f"give either grid (cells per axis) or h (mesh size), got grid {self.grid} and h {self.h}")
        if self.grid is not None and (not self.grid or any(not isinstance(n, int) or n < 2 for n in self.grid)):
            raise UsageError(f"grid must have at least 2 cells per axis, got {list(self.grid)}")
        if self.h is not None and not self.h > 0:
            raise UsageError(f"the mesh size h must be positive, got {self.h}")

    @property
    def resolution(self) -> Resolution:
        """Cells per axis, or the mesh size."""
        return self.grid if self.grid is not None else float(self.h or 0.0)

    @classmethod
    def of(
        cls, problem: Problem, name: str | None, count: Mapping[str, int] | int, grid: Sequence[int] | None, *,
        h: float | None = None, **others: Any,
    ) -> Recipe:  # fmt: skip
        """Build a recipe from a problem object.

        Args:
            problem: The problem.
            name: Name of the dataset; by default the problem's class in lower case.
            count: Samples by split, or of all splits.
            grid: Cells per axis; where h is None as well, the problem's own resolution is used.
            h: Mesh size, in length units.
            **others: The remaining fields.

        Returns:
            The recipe.

        Raises:
            UsageError: If a setting is out of range, or the problem cannot be rebuilt from its settings.
        """
        title = name or type(problem).__name__.lower()
        if grid is None and h is None:
            grid, h = (problem.resolution, None) if isinstance(problem.resolution, tuple) else (None, problem.resolution)
        cells = None if grid is None else tuple(grid)
        recipe = cls(problem.settings(), title, split_count(count) if isinstance(count, int) else dict(count), cells, h=h, **others)
        try:
            instance = problem.sample(seeds.generator(recipe.seed, seeds.INPUTS, 0))
            problem.layout(instance, recipe.resolution)
            rebuilt = problem_from(json.loads(json.dumps(recipe.problem)))
        except (ValueError, TypeError) as error:
            raise UsageError(f"{type(problem).__name__} cannot be generated: {error}") from error
        if rebuilt != problem:
            raise UsageError(
                f"{problem} differs from {rebuilt}, which its settings give; use plain numbers and text"
            )
        return recipe

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for plan.json."""
        return asdict(self) | {
            "grid": None if self.grid is None else list(self.grid),
            "count": dict(self.count),
            "problem": dict(self.problem),
        }

    def chains(self) -> list[Chain]:
        """Divide the samples: ids run through train, valid, test; a chain lies inside one split."""
        found: list[Chain] = []
        first = 0
        for split in (name for name in SPLITS if name in self.count):
            for part, start in enumerate(range(0, self.count[split], self.chain_length)):
                count = min(self.chain_length, self.count[split] - start)
                file = f"data/{split}/{self.name}-{part:05d}.hdf5"
                found.append(Chain(len(found), split, file, first + start, count))
            first += self.count[split]
        return found


def parse_share(text: str) -> tuple[int, int]:
    """Read "i/n", the i-th of n shares.

    Args:
        text: For example "2/4".

    Returns:
        (i - 1, n).

    Raises:
        UsageError: If it is not of that form.
    """
    number, _, total = text.partition("/")
    if not (number.isdigit() and total.isdigit() and 1 <= int(number) <= int(total)):
        raise UsageError(f"--shard must be i/n with 1 <= i <= n, got {text!r}")
    return int(number) - 1, int(total)


def split_count(total: int) -> dict[str, int]:
    """Split a number of samples 80 : 10 : 10, as long as there are ten; fewer are for training.

    Args:
        total: Of all splits.

    Returns:
        Samples by split.
    """
    tenth = total // 10
    return {"train": total - 2 * tenth, "valid": tenth, "test": tenth} if tenth else {"train": total}
