"""A coarse space from any trained operator: what it predicts spans vectors that conjugate gradients need not find again.

The correction V (VᵀAV)⁻¹ Vᵀ r is exact on the span whatever the network is, and the answer is verified as always. Kopaničáková and
Karniadakis, arXiv 2401.02016 (bases of an operator network); Saad et al. (2000) for the method that uses them, `def_cg`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as la

from pdeflow.errors import UsageError
from pdeflow.linalg.recycle_space import RecycleSpace

NEGLIGIBLE = 1e-6
"""Share of the largest singular value below which a direction of the fields is rounding of a float32 network."""


@dataclass(frozen=True, eq=False)
class DeflationSpace(RecycleSpace):
    """Vectors to deflate, for `solve(…, method="def_cg", recycle=space)`; def_cg takes the first 20."""

    @classmethod
    def from_fields(cls, fields: np.ndarray, k: int = 20, layout: str = "") -> DeflationSpace:
        """Take the leading principal directions of some fields.

        Args:
            fields: Approximate solutions or modes, real or complex, shape (m, ...), of n entries each.
            k: Directions at most.
            layout: Ordering of the unknowns of the systems to come, or "".

        Returns:
            Orthonormal directions, most important first.

        Raises:
            UsageError: If there is no field, one is not finite, or all are zero.
        """
        found = np.asarray(fields)
        found = found.astype(np.complex128 if np.iscomplexobj(found) else np.float64)
        if k < 1 or not found.size or not np.all(np.isfinite(found)) or not found.any():
            raise UsageError(f"a deflation space needs k >= 1 and finite fields that are not all zero, got k {k} and shape {found.shape}")
        _, values, directions = la.svd(found.reshape(len(found), -1), full_matrices=False)
        return cls(np.asfortranarray(directions[values > NEGLIGIBLE * values[0]][:k].T), layout=layout)

    @classmethod
    def from_model(cls, model: Any, inputs: Any, k: int = 20, layout: str = "") -> DeflationSpace:
        """Take the leading principal directions of what a trained operator predicts.

        Args:
            model: From inputs to fields on the unknowns of the system: what `pdeflow.load` returns, a network (asked in the type and on the
                device of its parameters, without gradients), or a function.
            inputs: Its inputs, e.g. coefficients near that of the system; m of them give at most m directions. What `pdeflow.load`
                returns takes (m, *grid) or (m, channels, *grid), a network only the latter.
            k: Directions at most.
            layout: As in from_fields.

        Raises:
            UsageError: As from_fields.
        """
        import torch

        if isinstance(model, torch.nn.Module):
            parameters = list(model.parameters())
            like = next((p for p in parameters if not p.is_complex()), parameters[0] if parameters else None)
            inputs = torch.as_tensor(inputs) if like is None else torch.as_tensor(inputs).to(like)
        with torch.no_grad():
            found = getattr(model, "predict", model)(inputs)
        if isinstance(found, torch.Tensor):  # NumPy has no bfloat16
            found = found.cpu().to(torch.complex128 if found.is_complex() else torch.float64).numpy()
        return cls.from_fields(found, k, layout)
