from pdeflow.losses.lp import RelativeL2, relative_l2
from pdeflow.losses.sobolev import RelativeH1, relative_h1

__all__ = ["RelativeH1", "RelativeL2", "relative_h1", "relative_l2"]
