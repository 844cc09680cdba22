from pdeflow.tasks.accuracy import accuracy
from pdeflow.tasks.direction_learning import DirectionLearning
from pdeflow.tasks.fresh_data import FreshDataModule
from pdeflow.tasks.medium_learning import MediumLearning
from pdeflow.tasks.operator_learning import OperatorLearning
from pdeflow.tasks.parameter_groups import parameter_groups
from pdeflow.tasks.physics_informed import PhysicsInformed
from pdeflow.tasks.right_hand_sides import Manufactured, OnPolicy, Ritz, Spectral

__all__ = [
    "DirectionLearning", "FreshDataModule", "Manufactured", "MediumLearning", "OnPolicy", "OperatorLearning", "PhysicsInformed", "Ritz", "Spectral",
    "accuracy", "parameter_groups",
]  # fmt: skip
