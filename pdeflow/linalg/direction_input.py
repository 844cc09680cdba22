"""What deep conjugate directions accept, and what they refuse before the first step."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from pdeflow.errors import UsageError
from pdeflow.linalg.conjugate_window import Apply, inner, magnitude, norm, over
from pdeflow.linalg.nullspace import KERNEL_TOLERANCE
from pdeflow.linalg.preconditioners import amg, jacobi
from pdeflow.linalg.stand_alone import check_tolerances
from pdeflow.linalg.system import LinearSystem

GUARDS = ("switch", "multi", None)
FLOATS = {torch.float32: np.float32, torch.float64: np.float64}
NULL_SHARE = {torch.float32: 1e-5, torch.float64: 1e-10}
"""‖A 1‖ over ‖A‖ ‖1‖ below which A maps constants to zero, and the share of b there that is too much."""


def check_batch(A: Any, b: Any, x0: Any = None) -> None:
    """Refuse right-hand sides of another shape, type or device, or with a non-finite entry, and an A that does not fit them.

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
    if not b.numel():
        raise UsageError(f"b has shape {tuple(b.shape)} and no entry; pass at least one right-hand side")
    if b.dtype not in FLOATS:
        raise UsageError(f"dcdm iterates in float32 or float64, got b of {b.dtype}; use dtype= for a coarser network")
    if isinstance(A, Tensor) and A.device != b.device:
        raise UsageError(f"A is on {A.device} and b on {b.device}; move one of them")
    if (sp.issparse(A) or isinstance(A, LinearOperator)) and b.device.type != "cpu":
        raise UsageError(f"a SciPy matrix works on the CPU and b is on {b.device}; pass a torch matrix or a function")
    bad = torch.nonzero(~torch.isfinite(b))
    if len(bad):
        raise UsageError(f"b has {len(bad)} non-finite entries, first {b[tuple(bad[0])].item()} at {tuple(bad[0].tolist())}")
    if x0 is not None and not (isinstance(x0, Tensor) and x0.shape == b.shape and bool(torch.isfinite(x0.to(b)).all())):
        raise UsageError(f"x0 must be finite and have the shape of b {tuple(b.shape)}, got {type(x0).__name__} {tuple(np.shape(x0))}")
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
    check_tolerances(rtol, atol)
    counts = {"maxiter": maxiter, "recompute_every": recompute_every, "check_every": 1 if check_every is None else check_every}
    check_counts(**counts)
    check_counts(0, window=window)


def check_counts(least: int = 1, **counts: Any) -> None:
    """Refuse what is no whole number, or too small.

    Args:
        least: Smallest number allowed.
        counts: Values by name.

    Raises:
        UsageError: With the value.
    """
    for name, value in counts.items():
        if not isinstance(value, (int, np.integer)) or value < least:
            raise UsageError(f"{name} must be a whole number and at least {least}, got {value}")


def as_apply(A: Any, b: Tensor) -> Apply:
    """Turn a matrix or function into a function of batches (R, *shape).

    Args:
        A: As in dcdm.
        b: Right-hand sides, whose type and device the vectors have.

    Raises:
        UsageError: If A is none of what dcdm takes, or complex.
    """
    scipy = sp.issparse(A) or isinstance(A, LinearOperator)
    if (isinstance(A, Tensor) and A.is_complex()) or (scipy and np.dtype(A.dtype).kind == "c"):
        raise UsageError(f"dcdm is for real matrices, got A of {A.dtype}; use solve(…, method='fcg')")
    if scipy:
        matrix = sp.csr_array(A).astype(FLOATS[b.dtype]) if sp.issparse(A) else A

        def product(v: Tensor) -> Tensor:
            flat = v.flatten(1).numpy()
            values = (matrix @ flat[0])[None] if len(flat) == 1 else np.ascontiguousarray((matrix @ flat.T).T)
            return torch.from_numpy(values.astype(flat.dtype, copy=False)).reshape(v.shape)

        return product
    if isinstance(A, Tensor):
        tensor = (A.to_sparse(layout=torch.sparse_coo) if A.layout == torch.sparse_bsc else A).to(b.dtype)  # torch multiplies no BSC matrix
        return lambda v: (tensor @ v.flatten(1).mT).mT.reshape(v.shape)
    if callable(A):
        return A
    raise UsageError(f"A is a {type(A).__name__}; pass a function of (R, *shape), a SciPy sparse matrix or a torch matrix")


def same_shape(function: Any, name: str) -> Apply:
    """Return the function with its answers checked to be real tensors of the shape of what it got.

    Args:
        function: Of a batch (R, *shape).
        name: For the message.
    """

    def checked(r: Tensor) -> Tensor:
        z = function(r)
        if not isinstance(z, Tensor) or z.shape != r.shape or z.is_complex():
            came = f"{z.dtype} {tuple(z.shape)}" if isinstance(z, Tensor) else type(z).__name__
            raise UsageError(f"{name} returned {came} for a batch of shape {tuple(r.shape)}; expected a real tensor of that shape")
        return z

    return checked


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
    u, v = _random(b, 2)
    Au, Av = apply(u), apply(v)
    if Au.shape != b.shape or Au.dtype != b.dtype or not bool(torch.isfinite(Au).all()):
        raise UsageError(
            f"A maps {b.dtype} {tuple(b.shape)} to {Au.dtype} {tuple(Au.shape)}, expected finite values of the same shape and type"
        )
    size = norm(u) * norm(Av) + norm(v) * norm(Au)
    defect = float(((inner(u, Av) - inner(v, Au)).abs() / size.clamp_min(1e-300)).max())
    if defect > 1e4 * torch.finfo(b.dtype).eps:
        raise UsageError(f"A is not symmetric: u·Av and v·Au differ by {defect:.1e} of their size; use solve(…, method='fgmres')")
    return float((norm(Au) / norm(u)).max())


def operator_size(apply: Apply, b: Tensor) -> Tensor:
    """Estimate ‖A‖ from below by two power steps on a random vector, shape (R,).

    Args:
        apply: The operator.
        b: Right-hand sides, whose shape, type and device the vectors have.
    """
    (v,) = _random(b, 1)
    size = norm(v)
    for _ in range(2):
        v = over(v, magnitude(v))
        size, v = norm(v), apply(v)
        size = norm(v) / size
    return size


def _random(b: Tensor, count: int) -> list[Tensor]:
    """Draw vectors of the shape, type and device of b, the same for all columns, on that device."""
    generator = torch.Generator(b.device).manual_seed(0)
    drawn = (torch.randn(1, *b.shape[1:], generator=generator, dtype=torch.float64, device=b.device) for _ in range(count))
    return [v.to(b.dtype).expand_as(b).contiguous() for v in drawn]


def null_basis(nullspace: Any, b: Tensor) -> Tensor | None:
    """Return an orthonormal basis of a declared null space, shape (n, k), or None.

    Args:
        nullspace: None, "constant", or a basis (k, *shape), a tensor or an array.
        b: Right-hand sides.

    Raises:
        UsageError: If it is another word or shape, or not finite.
    """
    if nullspace is None:
        return None
    if isinstance(nullspace, str):
        if nullspace != "constant":
            raise UsageError(f"nullspace {nullspace!r} is unknown; use 'constant' or a basis (k, *shape)")
        nullspace = torch.ones_like(b[:1])
    basis = torch.as_tensor(nullspace).to(b)
    if basis.shape[1:] != b.shape[1:] or not len(basis) or not bool(torch.isfinite(basis).all()):
        raise UsageError(f"nullspace has shape {tuple(basis.shape)}, expected finite (k, {', '.join(map(str, b.shape[1:]))})")
    return torch.linalg.qr(over(basis, magnitude(basis)).flatten(1).mT)[0]


def projection(Q: Tensor) -> Apply:
    """Return the orthogonal projection onto the complement of the columns of Q, shape (n, k)."""
    return lambda v: v - (v.flatten(1) @ Q @ Q.mT).reshape(v.shape)


def check_nullspace(apply: Apply, Q: Tensor, b: Tensor, gain: float) -> None:
    """Refuse a declared null space that A does not map to zero.

    Args:
        apply: The operator.
        Q: Orthonormal basis, shape (n, k).
        b: Right-hand sides.
        gain: Scale of A.

    Raises:
        UsageError: With the size of A q.
    """
    loose = KERNEL_TOLERANCE if b.dtype == torch.float64 else NULL_SHARE[b.dtype]
    worst = max(float(norm(apply(q.reshape(1, *b.shape[1:]).expand_as(b).contiguous())).max()) for q in Q.mT)
    if not worst <= loose * gain:
        raise UsageError(
            f"the declared null space is not one: ||A q|| = {worst:.1e} for a unit vector q of it, a random one gives {gain:.1e}; "
            "leave nullspace out"
        )


def check_reachable(apply: Apply, b: Tensor, gain: float) -> None:
    """Refuse a b with a constant part where A maps constants to zero.

    Args:
        apply: The operator.
        b: Right-hand sides.
        gain: Scale of A.

    Raises:
        UsageError: With the size of that part.
    """
    one, b = torch.ones_like(b), over(b, magnitude(b))
    loose = NULL_SHARE[b.dtype]
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
    if isinstance(A, Tensor):
        diagonal = _diagonal(A).to(dtype)
        inverse = 1 / torch.where(diagonal == 0, 1.0, diagonal)
        return lambda r: inverse.reshape(r.shape[1:]) * r
    return torch.clone


def _diagonal(A: Tensor) -> Tensor:
    """Diagonal of a matrix (n, n) of any layout, shape (n,); torch has none for the sparse ones."""
    if A.layout == torch.strided:
        return A.diagonal()
    entries = (A if A.layout == torch.sparse_coo else A.to_sparse(layout=torch.sparse_coo)).coalesce()
    row, column = entries.indices()
    return torch.zeros(len(A), dtype=A.dtype, device=A.device).index_add(0, row, torch.where(row == column, entries.values(), 0))


def network_type(network: Any) -> torch.dtype | None:
    """Return the type of a module's parameters, or None for a plain function."""
    parameters = getattr(network, "parameters", None)
    first = next(iter(parameters()), None) if callable(parameters) else None
    return None if first is None else first.dtype
