"""A function of a class that makes one of its meshes, bound as a class method whose type is known."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Owner = TypeVar("Owner")


class Constructor(Generic[Arguments]):
    """Binds like `classmethod`; a type checker learns that the class gives one of its own (classmethod loses that).

    Args:
        function: Takes the class and arguments, returns a mesh of that class.
    """

    def __init__(self, function: Callable[Concatenate[type[Any], Arguments], Any]) -> None:
        self.function = function

    def __get__(self, instance: object, owner: type[Owner]) -> Callable[Arguments, Owner]:
        return MethodType(self.function, owner)
