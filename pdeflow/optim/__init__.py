from pdeflow.optim.matrix_views import VIEWS, MatrixView, from_matrix, to_matrix
from pdeflow.optim.muon import Muon
from pdeflow.optim.polar import polar
from pdeflow.optim.schedule import WarmupCosine

__all__ = ["VIEWS", "MatrixView", "Muon", "WarmupCosine", "from_matrix", "polar", "to_matrix"]
