from pdeflow.generation.generate import generate
from pdeflow.generation.recipe import Chain, Recipe
from pdeflow.generation.workers import Progress

__all__ = ["Chain", "Progress", "Recipe", "generate"]
