from pdeflow.discretization.time_stepping.equation import OneStep, SemilinearEquation
from pdeflow.discretization.time_stepping.exponential import ETDRK4, IFRK4
from pdeflow.discretization.time_stepping.imex import ARS222, ARS443, ImexEuler, ImexRungeKutta
from pdeflow.discretization.time_stepping.march import Method, Trajectory, courant_substeps, march
from pdeflow.discretization.time_stepping.tolerance import march_to_tolerance

__all__ = [
    "ARS222",
    "ARS443",
    "ETDRK4",
    "IFRK4",
    "ImexEuler",
    "ImexRungeKutta",
    "Method",
    "OneStep",
    "SemilinearEquation",
    "Trajectory",
    "courant_substeps",
    "march",
    "march_to_tolerance",
]
