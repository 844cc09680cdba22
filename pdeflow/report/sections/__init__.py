"""The sections of the report page, one function each."""

from pdeflow.report.sections.accuracy import accuracy, trust
from pdeflow.report.sections.problem_and_data import data, problem
from pdeflow.report.sections.reproduce import reproduce
from pdeflow.report.sections.solve import solve
from pdeflow.report.sections.training import models, training

__all__ = ["accuracy", "data", "models", "problem", "reproduce", "solve", "training", "trust"]
