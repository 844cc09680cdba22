from pdeflow.models.direction_net import DirectionNet, LinearMultigridNet
from pdeflow.models.domain_decomposition import MultiGridPatches
from pdeflow.models.fno import FNO
from pdeflow.models.from_neuralop import from_neuralop
from pdeflow.models.learned_v_cycle import LearnedVCycle
from pdeflow.models.medium_net import MediumNet
from pdeflow.models.mlp import MLP
from pdeflow.models.neuralop_network import NeuralopNetwork
from pdeflow.models.normalizer import Normalizer
from pdeflow.models.patched_network import PatchedNetwork
from pdeflow.models.rollout import Rollout
from pdeflow.models.spectral_conv import SpectralConv
from pdeflow.models.tfno import TFNO

__all__ = [
    "FNO", "MLP", "TFNO", "DirectionNet", "LearnedVCycle", "LinearMultigridNet", "MediumNet", "MultiGridPatches", "NeuralopNetwork",
    "Normalizer", "PatchedNetwork", "Rollout", "SpectralConv", "from_neuralop",
]  # fmt: skip
