from pdeflow.linalg.bicgstab import bicgstab
from pdeflow.linalg.block_cg import block_cg
from pdeflow.linalg.deflated_cg import deflated_cg
from pdeflow.linalg.deflation_space import DeflationSpace
from pdeflow.linalg.gcro_dr import gcro_dr
from pdeflow.linalg.recycle_space import RecycleSpace
from pdeflow.linalg.solution import Reason, Solution
from pdeflow.linalg.solve import solve
from pdeflow.linalg.solver import Solver
from pdeflow.linalg.structure import Structure, describe
from pdeflow.linalg.system import LinearSystem, linear_system

__all__ = [
    "DeflationSpace", "LinearSystem", "Reason", "RecycleSpace", "Solution", "Solver", "Structure", "bicgstab", "block_cg", "deflated_cg", "describe",
    "gcro_dr", "linear_system", "solve",
]  # fmt: skip
