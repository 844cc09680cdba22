from pdeflow.models.fno import FNO
from pdeflow.models.from_neuralop import from_neuralop
from pdeflow.models.learned_v_cycle import LearnedVCycle
from pdeflow.models.normalizer import Normalizer
from pdeflow.models.rollout import Rollout
from pdeflow.models.spectral_conv import SpectralConv
from pdeflow.models.tfno import TFNO

__all__ = ["FNO", "TFNO", "LearnedVCycle", "Normalizer", "Rollout", "SpectralConv", "from_neuralop"]
