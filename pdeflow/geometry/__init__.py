from pdeflow.geometry.domain import Box
from pdeflow.geometry.grid import Grid

__all__ = ["Box", "Grid"]
