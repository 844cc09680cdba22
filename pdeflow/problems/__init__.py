from pdeflow.problems.darcy import Darcy, LogNormalDarcy
from pdeflow.problems.elliptic import Elliptic
from pdeflow.problems.poisson import Poisson
from pdeflow.problems.problem import GridField, Instance, Problem

__all__ = ["Darcy", "Elliptic", "GridField", "Instance", "LogNormalDarcy", "Poisson", "Problem"]
