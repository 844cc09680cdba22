"""What deep conjugate directions accept, and what they refuse before the first step."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.linalg.conjugate_window import Apply, inner, norm
from pdeflow.linalg.preconditioners import amg, jacobi
from pdeflow.linalg.system import LinearSystem

GUARDS = ("switch", "multi", None)
NULL_SHARE = 1e-10
"""‖A 1‖ over ‖A‖ ‖1‖ below which A maps constants to zero (float64), and the share of b there that is too much."""


def check_batch(A: Any, b: Any, x0: Any) -> None:
    """Refuse right-hand sides of another shape or type, or with a non-finite entry.

    Args:
        A: The operator.
        b: Right-hand sides.
        x0: Initial guesses or None.

    Raises:
        UsageError: With what came and what is needed.
    """
    if not isinstance(b, Tensor) or b.ndim < 2:
        shape = getattr(b, "shape", None)
        raise UsageError(f"b must be a tensor (R, n) or (R, *grid), not {type(b).__name__} of shape {shape}; use b[None] for one")
    if b.dtype not in (torch.float32, torch.float64):
        raise UsageError(f"dcdm iterates in float32 or float64, got b of {b.dtype}; use dtype= for a coarser network")
    bad = torch.nonzero(~torch.isfinite(b))
    if len(bad):
        raise UsageError(f"b has {len(bad)} non-finite entries, first {b[tuple(bad[0])].item()} at {tuple(bad[0].tolist())}")
    if x0 is not None and (x0.shape != b.shape or not bool(torch.isfinite(x0).all())):
        raise UsageError(f"x0 must be finite and have the shape of b {tuple(b.shape)}, got {tuple(x0.shape)}")
    n = b[0].numel()
    if hasattr(A, "shape") and tuple(A.shape) != (n, n):
        raise UsageError(f"A has shape {tuple(A.shape)} but a right-hand side has {n} entries, {tuple(b.shape[1:])}")


def check_options(
    rtol: float, atol: float, maxiter: int, window: int, guard: Any, recompute_every: int, check_every: int | None
) -> None:
    """Refuse options out of range.

    Raises:
        UsageError: With the value.
    """
    if guard not in GUARDS:
        raise UsageError(f"guard must be 'switch', 'multi' or None, got {guard!r}")
    if not (0 <= rtol < 1 and 0 <= atol < np.inf) or rtol == atol == 0:
        raise UsageError(f"rtol must lie in [0, 1) and atol be >= 0, one of them positive; got {rtol} and {atol}")
    counts = {"maxiter": maxiter, "recompute_every": recompute_every, "check_every": check_every or 1, "window": window + 1}
    for name, value in counts.items():
        if value < 1:
            raise UsageError(f"{name} must be at least {0 if name == 'window' else 1}, got {value - (name == 'window')}")


def as_apply(A: Any, dtype: torch.dtype) -> Apply:
    """Turn a matrix or function into a function of batches (R, *shape).

    Args:
        A: As in dcdm.
        dtype: Type of the vectors.

    Raises:
        UsageError: If A is none of what dcdm takes.
    """
    if sp.issparse(A):
        matrix = sp.csr_array(A).astype({torch.float32: np.float32, torch.float64: np.float64}[dtype])

        def product(v: Tensor) -> Tensor:
            flat = v.flatten(1).numpy()
            values = (matrix @ flat[0])[None] if len(flat) == 1 else np.ascontiguousarray((matrix @ flat.T).T)
            return torch.from_numpy(values).reshape(v.shape)

        return product
    if isinstance(A, Tensor):
        return lambda v: (A @ v.flatten(1).mT).mT.reshape(v.shape)
    if callable(A):
        return A
    raise UsageError(f"A is a {type(A).__name__}; pass a function of (R, *shape), a SciPy sparse matrix or a torch matrix")


def check_symmetric(apply: Apply, b: Tensor) -> float:
    """Refuse an operator that changes shapes or is not symmetric on two random vectors.

    Args:
        apply: The operator.
        b: Right-hand sides.

    Returns:
        ‖A u‖ / ‖u‖ for a random u, the scale of A.

    Raises:
        UsageError: With the defect.
    """
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.randn(1, *b.shape[1:], generator=generator, dtype=torch.float64).to(b).expand_as(b) for _ in range(2))
    Au, Av = apply(u.contiguous()), apply(v.contiguous())
    if Au.shape != b.shape or not bool(torch.isfinite(Au).all()):
        raise UsageError(f"A maps {tuple(b.shape)} to {tuple(Au.shape)}, expected finite values of the same shape")
    size = norm(u) * norm(Av) + norm(v) * norm(Au)
    defect = float(((inner(u, Av) - inner(v, Au)).abs() / size.clamp_min(1e-300)).max())
    if defect > 1e4 * torch.finfo(b.dtype).eps:
        raise UsageError(f"A is not symmetric: u·Av and v·Au differ by {defect:.1e} of their size; use solve(…, method='fgmres')")
    return float((norm(Au) / norm(u)).max())


def as_projection(nullspace: Any, b: Tensor) -> Apply | None:
    """Return the orthogonal projection onto the complement of a null space, or None.

    Args:
        nullspace: None, "constant", or a basis (k, *shape).
        b: Right-hand sides.

    Raises:
        UsageError: If it is another word or shape.
    """
    if nullspace is None:
        return None
    if isinstance(nullspace, str):
        if nullspace != "constant":
            raise UsageError(f"nullspace {nullspace!r} is unknown; use 'constant' or a basis (k, *shape)")
        axes = tuple(range(1, b.ndim))
        return lambda v: v - v.mean(axes, keepdim=True)
    if tuple(nullspace.shape[1:]) != tuple(b.shape[1:]):
        raise UsageError(f"nullspace has shape {tuple(nullspace.shape)}, expected (k, *{tuple(b.shape[1:])})")
    Q = torch.linalg.qr(nullspace.to(b).flatten(1).mT)[0]  # (n, k)
    return lambda v: v - (v.flatten(1) @ Q @ Q.mT).reshape(v.shape)


def check_reachable(apply: Apply, b: Tensor, gain: float) -> None:
    """Refuse a b with a constant part where A maps constants to zero.

    Args:
        apply: The operator.
        b: Right-hand sides.
        gain: Scale of A.

    Raises:
        UsageError: With the size of that part.
    """
    one = torch.ones_like(b)
    loose = NULL_SHARE if b.dtype == torch.float64 else 1e-5
    if bool((norm(apply(one)) > loose * gain * norm(one)).any()):
        return
    share = float((inner(b, one).abs() / (norm(b) * norm(one)).clamp_min(1e-300)).max())
    if share > loose:
        raise UsageError(
            f"right-hand side has a component of relative size {share:.1e} in the null space (constant): "
            "pass nullspace='constant' to project it"
        )


def classical_default(A: Any, dtype: torch.dtype, guard: str | None) -> Apply:
    """Return the preconditioner that the guard uses when none is given.

    Args:
        A: As in dcdm.
        dtype: Type of the vectors.
        guard: "switch" takes multigrid for an assembled matrix, "multi" Jacobi, which costs no more than a vector.
    """
    if sp.issparse(A) and guard is not None:
        system = LinearSystem(sp.csr_array(A).astype(np.float64), np.zeros(A.shape[0]), symmetric=True)
        M: list[Any] = []  # multigrid is set up when it is first needed

        def classical(r: Tensor) -> Tensor:
            if not M:
                M.append(jacobi(system) if guard == "multi" else amg(system))
            rows = [M[0] @ row for row in r.flatten(1).double().numpy()]
            return torch.from_numpy(np.stack(rows)).to(dtype).reshape(r.shape)

        return classical
    if isinstance(A, Tensor) and A.layout == torch.strided:
        inverse = 1 / torch.where(A.diagonal() == 0, 1.0, A.diagonal())
        return lambda r: inverse.reshape(r.shape[1:]) * r
    return torch.clone


def network_type(network: Any) -> torch.dtype | None:
    """Return the type of a module's parameters, or None for a plain function."""
    parameters = getattr(network, "parameters", None)
    first = next(iter(parameters()), None) if callable(parameters) else None
    return None if first is None else first.dtype


