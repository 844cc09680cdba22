"""Conjugate gradients on grids at their best: buffers that stay, few passes over them, blocks of steps that a GPU replays as a CUDA graph.

For a fair comparison on a GPU: what launches a kernel for every operation waits for the launches, not for the memory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pdeflow.linalg import operators
from pdeflow.linalg.conjugate_window import inner, norm

RTOL, LOOK = 1e-6, 10
Map = Callable[[Tensor], Tensor]


def captured(call: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """Run a function of fixed tensors once to warm up, aside, and capture what it launches."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(stream):
        call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        call()
    return graph


class Graphed:
    """A function of one tensor, replayed as a CUDA graph; its answer is valid until the next call.

    Args:
        function: What is captured; it may not wait for the device.
        example: Input of the shape and type of every later one.
    """

    def __init__(self, function: Map, example: Tensor) -> None:
        self.function, self.input = function, example.clone()
        self.graph = captured(self._keep)

    def _keep(self) -> None:
        self.output = self.function(self.input)

    def __call__(self, v: Tensor) -> Tensor:
        """Replay for v."""
        self.input.copy_(v)
        self.graph.replay()
        return self.output


def product_into(out: Tensor, u: Tensor, faces: operators.Faces, diagonal: Tensor) -> Tensor:
    """A u in place, one pass over the memory for each neighbour; the same as operators.apply up to rounding."""
    torch.mul(diagonal, u, out=out)
    for k, face in enumerate(faces):
        axis, inside = k + 1, u.shape[k + 1] - 1
        between = face.narrow(k, 1, inside)
        out.narrow(axis, 1, inside).addcmul_(between, u.narrow(axis, 0, inside), value=-1)
        out.narrow(axis, 0, inside).addcmul_(between, u.narrow(axis, 1, inside), value=-1)
    return out


def product(out: Tensor, u: Tensor, faces: operators.Faces, diagonal: Tensor) -> Tensor:
    """A u as sums of shifted fields, which a compiler makes one loop; the same up to rounding, `out` is not used."""
    total, dim = diagonal * u, len(faces)
    for k, face in enumerate(faces):
        n, sides = u.shape[k + 1], [0, 0] * (dim - 1 - k) + [1, 1]
        wide = functional.pad(u, sides)  # the walls are in the diagonal
        total = total - face.narrow(k, 0, n) * wide.narrow(k + 1, 0, n) - face.narrow(k, 1, n) * wide.narrow(k + 1, 2, n)
    return total


class StaticCG:
    """Conjugate gradients for all columns, preconditioned by a fixed symmetric map, with one look at the residuals in `look` steps.

    Args:
        faces: Conductances of one matrix on the grid.
        b: Right-hand sides (R, *grid).
        precondition: Map of batches, or None.
        form: "plain", "graph" (the block is captured), "compiled" or "compiled graph" (one step is compiled before).
        look: Steps of a block.
    """

    def __init__(self, faces: operators.Faces, b: Tensor, precondition: Map | None, form: str = "plain", look: int = LOOK) -> None:
        self.faces, self.diagonal, self.b, self.look = faces, operators.diagonal(faces), b, look
        self.precondition: Map = precondition or (lambda r: r)
        self.x, self.r, self.p, self.image = (torch.zeros_like(b) for _ in range(4))
        self.goal = (RTOL * norm(b)) ** 2
        self.rho, self.steps = torch.zeros_like(self.goal), torch.zeros(len(b), dtype=torch.int64, device=b.device)
        self.step: Callable[..., None] = cg_step
        self.product = product if "compiled" in form else product_into
        if "compiled" in form:
            torch.compiler.reset()  # else the ninth matrix is not compiled any more
            self.step = torch.compile(cg_step, dynamic=False)
        self.begin: Callable[[], object] = captured(self._reset).replay if "graph" in form else self._reset
        self.begin()
        self.advance: Callable[[], object] = captured(self._block).replay if "graph" in form else self._block
        self.advance()  # compiles what is not captured

    @torch.no_grad()
    def _reset(self) -> None:
        self.x.zero_()
        self.steps.zero_()
        self.r.copy_(self.b)
        self.p.copy_(self.precondition(self.r))
        self.rho.copy_(inner(self.r, self.p))

    @torch.no_grad()
    def _block(self) -> None:
        state = self.x, self.r, self.p, self.image, self.rho, self.steps
        for _ in range(self.look):
            self.step(*state, self.goal, self.faces, self.diagonal, self.precondition, self.product)

    @torch.no_grad()
    def solve(self, most: int = 5000, until: float = math.inf) -> tuple[int, float]:
        """Iterate to RTOL, until a clock, or for at most so many steps: most steps of a column, worst true relative residual."""
        self.begin()
        for _ in range(0, most, self.look):
            if not bool((inner(self.r, self.r) > self.goal).any()) or time.perf_counter() > until:
                break
            self.advance()
        rest = self.b - operators.apply(self.x, self.faces)
        return int(self.steps.max()), float((norm(rest) / norm(self.b)).max())


def cg_step(
    x: Tensor, r: Tensor, p: Tensor, image: Tensor, rho: Tensor, steps: Tensor, goal: Tensor, faces: operators.Faces, diagonal: Tensor,
    precondition: Map, multiply: Callable[[Tensor, Tensor, operators.Faces, Tensor], Tensor],
) -> None:  # fmt: skip
    """One step in place: x, r, p, r·Mr of each column, and the steps of those that are not done."""
    steps += inner(r, r) > goal
    Ap = multiply(image, p, faces, diagonal)
    column = (-1, *[1] * (p.ndim - 1))
    over = rho <= 0  # filled, not chosen by torch.where, which would fetch its number from the host
    alpha = (rho / inner(p, Ap)).masked_fill(over, 0.0).reshape(column)
    x.addcmul_(alpha, p)
    r.addcmul_(alpha, Ap, value=-1)
    z = precondition(r)
    new = inner(r, z)
    p.mul_((new / rho).masked_fill(over, 0.0).reshape(column)).add_(z)
    rho.copy_(new)
