"""What a solve of many right-hand sides returns: the fields of Solution with one entry for each column.

The residual recomputed from x decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pdeflow.linalg.solution import Reason


@dataclass(frozen=True, eq=False)
class Solutions:
    """Results of R right-hand sides of one matrix.

    Attributes:
        x: Solutions, shape (R, *shape).
        converged: Whether ‖b - A x‖, recomputed in the type of b, meets the tolerance, shape (R,).
        reasons: Why each column ended.
        residual: ‖b - A x‖ / ‖b‖ after the null space is projected out, shape (R,); absolute where b = 0.
        residual_norms: ‖b - A x_k‖ for k = 0 .. steps, shape (steps + 1, R); a column that has ended repeats its last one.
        iterations: Steps of each column, shape (R,).
        matvecs: Products of A with a whole batch.
        switched_at: Step after which the guard left the network, or None, for each column.
        details: What made each column leave the network or end, with numbers; "" where nothing did, () where it is not known.
    """

    x: Tensor
    converged: Tensor
    reasons: tuple[Reason, ...]
    residual: Tensor
    residual_norms: Tensor
    iterations: Tensor
    matvecs: int
    switched_at: tuple[int | None, ...]
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for people."""
        steps = self.iterations.tolist()
        return (
            f"{int(self.converged.sum())} of {len(steps)} right-hand sides converged in {min(steps)} to {max(steps)} "
            f"iterations, worst residual {self.residual.max().item():.1e}"
        )
