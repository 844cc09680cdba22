"""Point sets and meshes of different sizes in one batch: packed one after another, or padded to the longest.

The packed layout (values, ptr, batch) is PyTorch Geometric's (Fey and Lenssen, 2019); the padded one, with a mask,
is what attention takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pdeflow.errors import UsageError


def packed_to_padded(packed: Tensor, ptr: Tensor, fill: float = 0.0) -> tuple[Tensor, Tensor]:
    """Cut rows into samples and pad them to the longest.

    Args:
        packed: Rows of all samples, shape (ΣN, ...).
        ptr: Sample i owns rows ptr[i] to ptr[i + 1], shape (B + 1,).
        fill: Value of the padding of floating-point rows; integers and booleans are padded with 0.

    Returns:
        The padded rows, shape (B, Nmax, ...), and which of them are real, shape (B, Nmax) bool.
    """
    counts = ptr[1:] - ptr[:-1]
    longest = int(counts.max()) if len(counts) else 0
    mask = torch.arange(longest, device=packed.device) < counts[:, None]
    value = fill if packed.is_floating_point() or packed.is_complex() else 0
    padded = packed.new_full((len(counts), longest, *packed.shape[1:]), value)
    padded[mask] = packed
    return padded, mask


def padded_to_packed(padded: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Drop the padding: the inverse of `packed_to_padded`.

    Args:
        padded: Rows, shape (B, Nmax, ...).
        mask: Which rows are real, shape (B, Nmax) bool.

    Returns:
        The rows, shape (ΣN, ...), and ptr, shape (B + 1,).

    Raises:
        UsageError: If the shapes do not agree, or the mask is not boolean.
    """
    if mask.dtype != torch.bool or mask.shape != padded.shape[:2]:
        raise UsageError(
            f"the mask must be boolean of shape {tuple(padded.shape[:2])}, got {mask.dtype} {tuple(mask.shape)}"
        )
    counts = mask.sum(dim=1)
    return padded[mask], torch.cat([counts.new_zeros(1), counts.cumsum(dim=0)])


@dataclass(frozen=True, eq=False)
class MeshBatch:
    """Points of B samples one after another, with fields on them.

    Attributes:
        points: Coordinates of all samples, shape (ΣN, d).
        ptr: Sample i owns rows ptr[i] to ptr[i + 1], shape (B + 1,), int64.
        fields: Named values at the points, shape (ΣN, ...).
        scalars: Named values of the samples, shape (B, ...).
    """

    points: Tensor
    ptr: Tensor
    fields: Mapping[str, Tensor] = field(default_factory=dict)
    scalars: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.points)
        if self.ptr.ndim != 1 or len(self.ptr) < 1 or int(self.ptr[0]) != 0 or int(self.ptr[-1]) != n:
            raise UsageError(
                f"ptr must run from 0 to {n}, the number of points, got {self.ptr.tolist()[:6]} …"
            )
        if bool((self.ptr[1:] < self.ptr[:-1]).any()):
            raise UsageError("ptr must not decrease")
        for name, values in self.fields.items():
            if len(values) != n:
                raise UsageError(f"field '{name}' has {len(values)} rows but the batch has {n} points")
        for name, values in self.scalars.items():
            if len(values) != len(self):
                raise UsageError(
                    f"scalar '{name}' has {len(values)} rows but the batch has {len(self)} samples"
                )

    @classmethod
    def pack(cls, samples: Sequence[Mapping[str, Any]], points: str = "x") -> MeshBatch:
        """Join samples.

        Args:
            samples: Dictionaries with one set of keys: the points (n_i, d), fields whose first axis is n_i, and
                numbers or tensors without axes, which become scalars.
            points: Key of the points.

        Returns:
            The batch.

        Raises:
            UsageError: If there are no samples, keys differ, or a field does not fit its points.
        """
        _check_samples(samples, points)
        counts = torch.tensor([len(sample[points]) for sample in samples])
        joined: dict[str, Tensor] = {}
        scalars: dict[str, Tensor] = {}
        for name in samples[0]:
            values = [torch.as_tensor(sample[name]) for sample in samples]
            if all(value.ndim == 0 for value in values):
                scalars[name] = torch.stack(values)
                continue
            for i, (value, count) in enumerate(zip(values, counts.tolist(), strict=True)):
                if value.ndim == 0 or len(value) != count:
                    raise UsageError(
                        f"'{name}' of sample {i} has shape {tuple(value.shape)} for {count} points"
                    )
            joined[name] = torch.cat(values)
        x = joined.pop(points)
        ptr = torch.cat([counts.new_zeros(1), counts.cumsum(dim=0)]).to(x.device)
        return cls(x, ptr, joined, scalars)

    @classmethod
    def from_padded(
        cls, points: Tensor, mask: Tensor, fields: Mapping[str, Tensor] | None = None
    ) -> MeshBatch:
        """Pack padded points (B, Nmax, d) and fields (B, Nmax, ...).

        Raises:
            UsageError: If shapes and mask do not agree.
        """
        packed, ptr = padded_to_packed(points, mask)
        named = {name: padded_to_packed(values, mask)[0] for name, values in (fields or {}).items()}
        return cls(packed, ptr, named)

    def __len__(self) -> int:
        return len(self.ptr) - 1

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        if not -len(self) <= i < len(self):
            raise IndexError(f"sample {i} of a batch of {len(self)}")
        rows = slice(int(self.ptr[i % len(self)]), int(self.ptr[i % len(self) + 1]))
        named = {name: values[rows] for name, values in self.fields.items()}
        return {"x": self.points[rows], **named, **{name: values[i] for name, values in self.scalars.items()}}

    @property
    def counts(self) -> Tensor:
        """Number of points of each sample, shape (B,)."""
        return self.ptr[1:] - self.ptr[:-1]

    @property
    def batch(self) -> Tensor:
        """Sample of each point, shape (ΣN,)."""
        return torch.repeat_interleave(torch.arange(len(self), device=self.ptr.device), self.counts)

    def padded(self, fill: float = 0.0) -> dict[str, Tensor]:
        """Return "x" (B, Nmax, d), "mask" (B, Nmax), every field (B, Nmax, ...) and every scalar (B, ...)."""
        x, mask = packed_to_padded(self.points, self.ptr, fill)
        named = {name: packed_to_padded(values, self.ptr, fill)[0] for name, values in self.fields.items()}
        return {"x": x, "mask": mask, **named, **self.scalars}

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> MeshBatch:
        """Return a copy on a device, floating-point values in a dtype (integers keep theirs)."""

        def moved(values: Tensor) -> Tensor:
            return values.to(device, dtype if values.is_floating_point() else None)

        named = {name: moved(values) for name, values in self.fields.items()}
        scalars = {name: moved(values) for name, values in self.scalars.items()}
        return MeshBatch(moved(self.points), self.ptr.to(device), named, scalars)


def _check_samples(samples: Sequence[Mapping[str, Any]], points: str) -> None:
    if not samples or points not in samples[0]:
        raise UsageError(f"a batch needs samples with the key '{points}', got {len(samples)} samples")
    for i, sample in enumerate(samples):
        if sample.keys() != samples[0].keys():
            raise UsageError(f"sample {i} has keys {sorted(sample)} but sample 0 has {sorted(samples[0])}")


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Join samples of different sizes for a DataLoader: `collate_fn=collate`.

    Args:
        samples: Dictionaries with the points "x" (n_i, d), fields (n_i, ...) and scalars.

    Returns:
        The padded batch: "x" (B, Nmax, d), "mask" (B, Nmax) bool, fields (B, Nmax, ...), scalars (B,).

    Raises:
        UsageError: As MeshBatch.pack.
    """
    return MeshBatch.pack(samples).padded()
