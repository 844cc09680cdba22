from pdeflow.discretization.finite_volume import diffusion_system, residual_field

__all__ = ["diffusion_system", "residual_field"]
