"""Write a PDE once: generate its data, train operators on it, solve it to a verified tolerance."""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {"load": "pdeflow.run_folder", "solve": "pdeflow.linalg", "generate": "pdeflow.generation"}

__all__ = ["__version__", "generate", "load", "solve"]


def __getattr__(name: str) -> Any:
    """Import a public function on first use, so that `import pdeflow` stays instant (PEP 562)."""
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("pdeflow")
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
