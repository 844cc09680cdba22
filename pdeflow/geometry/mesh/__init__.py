from pdeflow.geometry.mesh.mesh import Mesh
from pdeflow.geometry.reference_cells import CellType

__all__ = ["CellType", "Mesh"]
