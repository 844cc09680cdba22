from pdeflow.geometry.surface.surface import TriSurface

__all__ = ["TriSurface"]
