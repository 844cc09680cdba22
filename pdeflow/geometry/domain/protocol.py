"""What numerical queries ask of a region and which shapes its operators make: types that name no class of region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from torch import Tensor

from pdeflow.geometry.domain.draw import Bounds
from pdeflow.geometry.domain.results import Projection

Kind = Literal["union", "intersection"]
Shape = TypeVar("Shape")


class Region(Protocol):
    """Open set known by a function φ that is negative inside it; `Domain` says what each member means."""

    @property
    def exact(self) -> bool:
        """Whether |φ| is the distance to the boundary."""

    @property
    def bounds(self) -> Bounds:
        """(lower, upper) per axis of a box that contains the region."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the boundary parts."""

    @property
    def dim(self) -> int:
        """Space dimension d."""

    @property
    def diameter(self) -> float:
        """Diagonal of `bounds`, in length units."""

    @property
    def length_scale(self) -> float:
        """Length that tolerances are relative to."""

    def sdf(self, x: Tensor) -> Tensor:
        """Return φ, shape (n,), differentiable in x."""

    def inside(self, x: Tensor) -> Tensor:
        """Return whether φ ≤ 0, shape (n,)."""

    def distance_lower_bound(self, x: Tensor) -> Tensor:
        """Return a number between zero and the distance to the boundary, shape (n,)."""

    def project(self, x: Tensor) -> Projection:
        """Return the closest boundary points."""


@dataclass(frozen=True)
class Operations(Generic[Shape]):
    """The shapes that operators of a domain make.

    Attributes:
        combination: Union or intersection of two domains.
        complement: What lies outside a domain.
        moved: A domain under x → factor · rotation · x + shift.
        offset: A domain with its boundary moved by a width.
        redistanced: A domain with its distance resampled by segments of a length.
    """

    combination: Callable[[Kind, Shape, Shape], Shape]
    complement: Callable[[Shape], Shape]
    moved: Callable[[Shape, Tensor, float, Tensor], Shape]
    offset: Callable[[Shape, float], Shape]
    redistanced: Callable[[Shape, float], Shape]
