from pdeflow.linalg.solution import Reason, Solution
from pdeflow.linalg.solve import solve
from pdeflow.linalg.structure import Structure, describe
from pdeflow.linalg.system import LinearSystem, linear_system

__all__ = ["LinearSystem", "Reason", "Solution", "Structure", "describe", "linear_system", "solve"]
