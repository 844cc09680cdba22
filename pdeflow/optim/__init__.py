from pdeflow.optim.adaptive_memory import AdaptiveMemoryAdamW, AdaptiveMemoryMuon, AdaptiveMemorySGD
from pdeflow.optim.aro import ARO
from pdeflow.optim.auon import AuON, HybridAuON
from pdeflow.optim.chain import MatrixBatch, MatrixOptimizer
from pdeflow.optim.gauss_newton import GaussNewton
from pdeflow.optim.least_squares_presets import ENGDW, SPRING, GradientSmoothness, LevenbergMarquardt, Sven
from pdeflow.optim.low_rank import DCTAdamW, Dion2, Trion
from pdeflow.optim.matrix_views import VIEWS, MatrixView, from_matrix, to_matrix
from pdeflow.optim.mfac import MFAC
from pdeflow.optim.minimax import MinimaxPolynomials, minimax_polynomials
from pdeflow.optim.muon import Muon
from pdeflow.optim.muon_variants import ROOT, AdaMuon, NorMuon
from pdeflow.optim.nystrom import NystromNewtonCG
from pdeflow.optim.polar import polar
from pdeflow.optim.polar_grad import PolarGrad
from pdeflow.optim.schedule import WSD, WarmupCosine
from pdeflow.optim.scion import Scion
from pdeflow.optim.self_scaled import SelfScaledQN
from pdeflow.optim.shampoo import FISMO, SOAP, KLShampoo, Shampoo
from pdeflow.optim.symmetry import SymmetryAware

__all__ = [
    "ARO", "ENGDW", "FISMO", "MFAC", "ROOT", "SOAP", "SPRING", "VIEWS", "WSD", "AdaMuon", "AdaptiveMemoryAdamW",
    "AdaptiveMemoryMuon", "AdaptiveMemorySGD", "AuON", "DCTAdamW", "Dion2", "GaussNewton", "GradientSmoothness", "HybridAuON",
    "KLShampoo", "LevenbergMarquardt", "MatrixBatch", "MatrixOptimizer", "MatrixView", "MinimaxPolynomials", "Muon", "NorMuon",
    "NystromNewtonCG", "PolarGrad", "Scion", "SelfScaledQN", "Shampoo", "Sven", "SymmetryAware", "Trion", "WarmupCosine",
    "from_matrix", "minimax_polynomials", "polar", "to_matrix",
]  # fmt: skip
