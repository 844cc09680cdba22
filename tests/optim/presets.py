"""The table of presets that the tests run through: class, options that make them small, and what holds for each."""

from pdeflow import optim

SMALL = {"Trion": {"rank": 3}, "DCTAdamW": {"rank": 3}, "PolarGrad": {"lr": 1e-2}, "Scion": {"constrained": False}}
NAMES = [
    "Muon", "Scion", "AuON", "HybridAuON", "ROOT", "PolarGrad", "NorMuon", "AdaMuon", "KLShampoo", "SOAP", "Shampoo", "FISMO",
    "ARO", "SymmetryAware", "Dion2", "Trion", "DCTAdamW", "AdaptiveMemorySGD", "AdaptiveMemoryAdamW", "AdaptiveMemoryMuon",
]  # fmt: skip

# f(P G Q) = P f(G) Q for unitary P, Q over a run of steps
EQUIVARIANT = [
    "Muon", "Scion", "PolarGrad", "KLShampoo", "Shampoo", "FISMO", "AdaptiveMemorySGD", "AdaptiveMemoryMuon",
    "SymmetryAware",
]  # fmt: skip
# updates do not change when all gradients are multiplied by one number
SCALE_FREE = [n for n in NAMES if n not in ("PolarGrad", "AdaptiveMemorySGD", "AdaptiveMemoryAdamW", "SOAP", "DCTAdamW")]


def make(name, params, **options):
    return getattr(optim, name)(params, **(SMALL.get(name, {}) | options))
