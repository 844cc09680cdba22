from pdeflow.losses.direction import Energy, LogEnergy, MinimalResidual, Residual
from pdeflow.losses.distributed import DistributedRelativeL2
from pdeflow.losses.lp import RelativeL2, RelativeLp, relative_l2, relative_lp
from pdeflow.losses.sobolev import RelativeH1, RelativeHs, relative_h1, relative_hs

__all__ = [
    "DistributedRelativeL2",
    "Energy",
    "LogEnergy",
    "MinimalResidual",
    "RelativeH1",
    "RelativeHs",
    "RelativeL2",
    "RelativeLp",
    "Residual",
    "relative_h1",
    "relative_hs",
    "relative_l2",
    "relative_lp",
]
