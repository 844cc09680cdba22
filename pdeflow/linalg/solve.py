"""Solve A x = b to a tolerance that is verified: choose a method, fall back where it fails, say what happened.

The true residual in double precision decides, whatever a method claims.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from pdeflow.errors import UsageError
from pdeflow.linalg.choice import Attempt, attempts, fitting_method, rescue, why_too_dear
from pdeflow.linalg.compatibility import empty_rows, incompatible
from pdeflow.linalg.direct import estimate_cost, factorize, uses_cholmod
from pdeflow.linalg.iteration import Callback, Limits, Outcome, default_maxiter
from pdeflow.linalg.krylov_methods import bring, run_krylov
from pdeflow.linalg.preconditioners import Preconditioner, build
from pdeflow.linalg.recycle_space import RecycleSpace
from pdeflow.linalg.solution import Reason, Solution, verify
from pdeflow.linalg.solve_arguments import LARGEST, check_arguments, check_method
from pdeflow.linalg.system import LinearSystem, as_vector, described, linear_system

FINAL = (Reason.timeout, Reason.stopped, Reason.incompatible_nullspace)
SetUp = dict[Any, Any]
"""What was set up for a matrix: factorization and preconditioners, by name or by the object they were made from."""


def solve(
    A: Any, b: Any = None, *, method: str = "auto", preconditioner: Any = "auto", x0: Any = None, rtol: float = 1e-8,
    atol: float = 0.0, maxiter: int | None = None, nullspace: Any = None, guard: str = "switch", timeout: float | None = None,
    restart: int | None = None, callback: Callback | None = None, recycle: RecycleSpace | None = None, set_up: SetUp | None = None,
    M: Any = None,
) -> Solution:  # fmt: skip
    """Solve A x = b.

    Args:
        A: LinearSystem, or square matrix: sparse, dense or LinearOperator, shape (n, n).
        b: Right-hand side, shape (n,), of any finite size; None is that of a LinearSystem, else A times ones. See Solver for many.
        method: "auto" finds what suits the matrix; or one of METHODS.
        preconditioner: "auto", none, jacobi, ilu, ic, amg, petsc:TYPE, a function r -> M r, or an object with @ or `setup(system)` (a trained
            network).
        x0: Initial guess, shape (n,).
        rtol: Tolerance on ||b - A x|| / ||b||.
        atol: Absolute tolerance.
        maxiter: Krylov steps of one attempt; by default min(10 n, 10,000).
        nullspace: Basis of the null space of a raw matrix, "constant", "none", or None to detect the constants.
        guard: "switch" leaves a failing preconditioner object for algebraic multigrid and says so; "multi" (dcdm only) minimises
            over its direction and that of Jacobi together; "none" trusts it.
        timeout: Seconds at most, between steps.
        restart: Directions of a cycle: 30 by default for GMRES, 40 for GCRO-DR, which carries half of them.
        callback: Called after each step with an `iteration.State`; a true answer stops.
        recycle: `recycle` of the Solution of a similar system, for gcro_dr and def_cg.
        set_up: What earlier calls set up for this very matrix is taken from here, and what this one sets up is left here; see Solver.
        M: SciPy's name of `preconditioner`.

    Returns:
        The solution with its verdict; it never says converged unless the true residual meets the tolerance.

    Raises:
        UsageError: If an argument is wrong, or a method that was named, or with it or guard="none" a preconditioner, cannot serve
            this matrix; with method="auto" and the guard "switch" others take over, and `detail` says why.
    """
    system = described(A, b, nullspace, set_up, ritz=method == "auto") if isinstance(A, LinearSystem) else linear_system(A, b, nullspace)
    if M is not None:
        if not _is_auto(preconditioner):
            raise UsageError("M and preconditioner are the same thing; give one of them")
        preconditioner = M
    check_arguments(system, method, rtol=rtol, atol=atol, maxiter=maxiter, guard=guard, timeout=timeout, restart=restart)
    check_method(system, method, preconditioner, recycle)
    start = np.zeros(system.n) if x0 is None else as_vector(x0, system.n, "x0")
    scale = balancing(system)
    if scale != 1:
        options: dict[str, Any] = {
            "method": method, "preconditioner": preconditioner, "rtol": rtol, "maxiter": maxiter, "guard": guard,
            "timeout": timeout, "restart": restart, "recycle": recycle, "set_up": set_up,
        }  # fmt: skip
        return _scaled_solve(system, start, atol, callback, scale, options)
    if not np.any(system.b) and atol == 0:
        zero = np.zeros(system.n, dtype=_double(system))
        return verify(system, zero, Reason.zero_rhs, rtol=rtol, method=method, recycle=recycle)
    refused = empty_rows(system, rtol, atol) or (incompatible(system, rtol, atol) if system.symmetric else None)
    if refused is not None:
        return refused
    if method == "auto":
        tries = attempts(system, preconditioner)
    else:
        named = "none" if method == "direct" else preconditioner
        tries = [Attempt("fgmres" if method == "gmres" else method, _default(named, method, system))]
    if _guarded(preconditioner, guard):
        tries = [tries[0], *rescue(system)]
    elif guard == "none" and not _is_auto(preconditioner):
        tries = tries[:1]  # what was asked for, and nothing else
    run = _Run(
        system, start, rtol, atol, maxiter, timeout, restart, callback, method != "auto", guard, recycle, {} if set_up is None else set_up
    )
    found = run.over(tries)
    if found.converged or system.symmetric or system.nullspace is None:
        return found
    return (
        incompatible(system, rtol, atol) or found
    )  # the left null space is dear, so it is sought only on failure


class _Run:
    """One solve: attempts in order, each from the best iterate so far."""

    def __init__(
        self, system: LinearSystem, x0: np.ndarray, rtol: float, atol: float, maxiter: int | None, timeout: float | None,
        restart: int | None, callback: Callback | None, asked: bool, guard: str, recycle: RecycleSpace | None, set_up: SetUp,
    ) -> None:  # fmt: skip
        dtype = _double(system)
        cast = system.assembled and system.A.dtype != dtype  # an operator is taken as it is
        self.system = replace(
            system, A=system.A.astype(dtype) if cast else system.A, b=system.b.astype(dtype)
        )
        self.x, self.rtol, self.atol, self.restart = x0.astype(dtype), rtol, atol, restart
        self.maxiter = default_maxiter(system.n) if maxiter is None else maxiter
        self.deadline = None if timeout is None else time.perf_counter() + timeout
        self.callback, self.asked, self.guard, self.recycle, self.set_up = callback, asked, guard, recycle, set_up
        basis = system.null_basis() if system.symmetric else None
        self.project = None if basis is None else lambda v: v - basis @ (basis.conj().T @ v)
        self.b = self.system.b if self.project is None else self.project(self.system.b)
        self.size = float(np.linalg.norm(self.system.b))

    def over(self, tries: list[Attempt]) -> Solution:
        """Try one attempt after the other until one is verified."""
        tried: list[str] = []
        total: Solution | None = None
        for attempt in tries:
            try:
                found = self.attempt(attempt)
            except UsageError as error:
                if len(tries) == 1 or (self.asked and total is None):
                    raise
                M = attempt.preconditioner
                tried.append(f"{attempt.method} + {M if isinstance(M, str) else type(getattr(M, 'network', M)).__name__}: {error}")
                continue
            total = found if total is None else _joined(total, found)
            if total.converged or total.reason in FINAL:
                break
            tried.append(
                f"{found.method} + {found.preconditioner}: {found.reason.name}, residual {found.residual:.1e}"
            )
            tried[-1] += f" ({found.detail})" if found.detail != found.reason.value else ""
        if total is None:
            raise UsageError("no method could start: " + "; ".join(tried))
        if tried and total.converged:
            detail = f"{'; '.join(tried)}; then {total.method} + {total.preconditioner} converged"
            return replace(total, reason=Reason.converged_fallback, detail=detail)
        return replace(total, detail="; ".join(tried)) if len(tried) > 1 else total

    def attempt(self, attempt: Attempt) -> Solution:
        """Run one method and verify what it returns; a better iterate becomes the next start."""
        bring(attempt.method)
        began = time.perf_counter()
        if attempt.method == "direct":
            outcome, name, set_up = self._direct()
            M_name = name
        else:
            M = self._once(attempt.preconditioner, lambda: build(attempt.preconditioner, self.system))
            method, set_up = fitting_method(attempt.method, M, self.asked), time.perf_counter()
            outcome = self._krylov(method, M, learned=not isinstance(attempt.preconditioner, str))
            attempt, M_name = Attempt(method, attempt.preconditioner), M.name
        found = verify(
            self.system, outcome.x, outcome.reason, rtol=self.rtol, atol=self.atol, residual_norms=outcome.residual_norms,
            iterations=outcome.iterations, matvecs=outcome.matvecs, seconds_setup=set_up - began,
            seconds_solve=time.perf_counter() - set_up, method=attempt.method, preconditioner=M_name, detail=outcome.detail,
            recycle=outcome.recycle,
        )  # fmt: skip
        finite = np.isfinite(found.residual) and np.all(np.isfinite(found.x))
        if finite and found.residual * self.size <= np.linalg.norm(self.system.b - self.system.A @ self.x):
            self.x = found.x
        return found

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        """Set up what is not there yet; a name or the object itself is the key, so that no other can take its place."""
        name = (key if isinstance(key, str) or key is None else id(key), np.dtype(self.system.A.dtype))
        if name not in self.set_up:
            self.set_up[name] = (key, make())
        return self.set_up[name][1]

    def _krylov(self, method: str, M: Preconditioner, learned: bool) -> Outcome:
        target = max(self.rtol * self.size, self.atol)
        limits = Limits(
            target, self.size, self.maxiter, self.deadline, self.callback, learned and self.guard == "switch"
        )
        return run_krylov(
            method, self.system.A, self.b, self.x, M, limits, self.project, self.restart, self.recycle, self.system.layout,
            build("jacobi" if self.system.assembled else "none", self.system) if self.guard == "multi" else None,
        )  # fmt: skip

    def _direct(self) -> tuple[Outcome, str, float]:
        """Factor, solve, and refine while that helps; (outcome, name of the factorization, time when it was factored)."""
        left = None if self.deadline is None else self.deadline - time.perf_counter()
        ready = not self.system.assembled or ("factorization", np.dtype(self.system.A.dtype)) in self.set_up
        reason = None if ready else why_too_dear(estimate_cost(self.system), left)
        if reason:
            raise UsageError(
                f"direct {reason}; use method='cg' with preconditioner='amg', or fgmres with ilu"
            )
        try:
            back, name = self._once("factorization", lambda: factorize(self.system))
        except ArithmeticError as error:
            norms = [float(np.linalg.norm(self.b))]
            name = "CHOLMOD" if uses_cholmod(self.system) else "SuperLU"
            return Outcome(self.x, Reason.breakdown, norms, 0, str(error)), name, time.perf_counter()
        factored, x = time.perf_counter(), back(self.b)
        norms = [self.size, float(np.linalg.norm(self.b - self.system.A @ x))]
        while (
            norms[-1] > 0.1 * max(self.rtol * self.size, self.atol)
            and len(norms) < 5
            and np.isfinite(norms[-1])
        ):
            better = x + back(self.b - self.system.A @ x)
            norm = float(np.linalg.norm(self.b - self.system.A @ better))
            if not norm < 0.5 * norms[-1]:
                break
            x = better
            norms.append(norm)
        outcome = Outcome(x, Reason.converged, norms, len(norms) - 1)
        return outcome, name, factored


def balancing(system: LinearSystem) -> float:
    """Return the power of two by which b is multiplied so that products of vectors neither vanish nor overflow; mostly one.

    Args:
        system: A x = b; the entries of A lie between 1 / LARGEST and LARGEST.
    """
    b = float(np.abs(system.b).max())
    if b == 0 or 1 / LARGEST < b < LARGEST:
        return 1.0
    a = float(np.abs(system.A.data).max(initial=0.0)) if system.assembled else 1.0
    return float(np.exp2(np.clip(np.round(np.log2(a or 1.0) - np.log2(b)), -1022, 1022)))


def _scaled_solve(
    system: LinearSystem, x0: np.ndarray, atol: float, callback: Callback | None, scale: float, options: dict[str, Any]
) -> Solution:
    """Solve A y = scale b, x = y / scale, and verify x itself."""

    def watch(state: Any) -> Any:
        return callback(replace(state, residual_norm=state.residual_norm / scale)) if callback is not None else None

    scaled = replace(system, b=system.b.astype(_double(system)) * scale)
    with np.errstate(over="ignore"):
        start, absolute = x0 * scale, min(atol * scale, np.finfo(np.float64).max)
    if not np.all(np.isfinite(start)):
        raise UsageError(f"x0 reaches {np.abs(x0).max():.0e} where b reaches {np.abs(system.b).max():.0e}; give a start of the size of x")
    found = solve(scaled, x0=start, atol=absolute, callback=watch, **options)
    facts = {field.name: getattr(found, field.name) for field in fields(found)}
    for name in ("x", "converged", "reason", "residual"):
        del facts[name]
    facts["residual_norms"] = [norm / scale for norm in found.residual_norms]
    with np.errstate(over="ignore"):
        x = found.x / scale
    return verify(system, x, found.reason, rtol=options["rtol"], atol=atol, **facts)


def _joined(first: Solution, second: Solution) -> Solution:
    """The second attempt with the costs of both."""
    better = second if second.converged or not first.residual < second.residual else first
    return replace(
        better, iterations=first.iterations + second.iterations, matvecs=first.matvecs + second.matvecs,
        seconds_setup=first.seconds_setup + second.seconds_setup, seconds_solve=first.seconds_solve + second.seconds_solve,
        recycle=second.recycle or first.recycle, residual_norms=[*first.residual_norms, *second.residual_norms[1:]],
        switched_at=first.iterations if first.switched_at is None else first.switched_at,
    )  # fmt: skip


def _is_auto(preconditioner: Any) -> bool:
    return isinstance(preconditioner, str) and preconditioner == "auto"


def _guarded(preconditioner: Any, guard: str) -> bool:
    return guard == "switch" and not isinstance(preconditioner, str) and preconditioner is not None


def _default(preconditioner: Any, method: str, system: LinearSystem) -> Any:
    if not (isinstance(preconditioner, str) and preconditioner == "auto"):
        return preconditioner
    if not system.assembled:
        return "none"
    definite = "none" if system.positive_definite is False else "amg"
    usual = {"cg": definite, "fcg": definite, "dcdm": definite, "def_cg": "jacobi"}
    return usual.get(method, "ilu" if method in ("gmres", "fgmres", "gcro_dr", "bicgstab") else "none")


def _double(system: LinearSystem) -> np.dtype:
    return np.result_type(system.dtype, np.float64)
