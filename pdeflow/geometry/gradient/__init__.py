from pdeflow.geometry.gradient.choose import gradient
from pdeflow.geometry.gradient.operator import GradientOperator
from pdeflow.geometry.gradient.spectral import SpectralGradient

__all__ = ["GradientOperator", "SpectralGradient", "gradient"]
