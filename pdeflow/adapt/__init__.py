from pdeflow.adapt.derivative_free import SPSA, PolyStep
from pdeflow.adapt.langevin import Langevin
from pdeflow.adapt.loss_weights import BilevelState, Rates, lv_hba_step, tune_loss_weights
from pdeflow.adapt.low_rank_adapters import adapter_state, attach_adapters, merge_adapters
from pdeflow.adapt.merging import merge_operators
from pdeflow.adapt.orthogonality import OrthogonalityPenalty, convolution_penalty, matrix_penalty
from pdeflow.adapt.preconditioned_adapters import AdaPreLoRA
from pdeflow.adapt.streaming_pod import StreamingPOD

__all__ = [
    "SPSA", "AdaPreLoRA", "BilevelState", "Langevin", "OrthogonalityPenalty", "PolyStep", "Rates", "StreamingPOD", "adapter_state",
    "attach_adapters", "convolution_penalty", "lv_hba_step", "matrix_penalty", "merge_adapters", "merge_operators", "tune_loss_weights",
]  # fmt: skip
