"""One optimizer of all matrix-aware methods: a chain of stages on batches of matrices, then decoupled decay and the step.

Bernstein and Newhouse, Old optimizer, new norm, arXiv 2409.20325 (a method is a momentum and a norm); decay: Loshchilov and
Hutter, Decoupled weight decay, ICLR 2019, algorithm 2.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from pdeflow.errors import DataError
from pdeflow.optim.matrix_views import check_view, find_view, from_matrix, to_matrix, view_of
from pdeflow.optim.polar import working_dtype
from pdeflow.optim.settings import check_settings
from pdeflow.optim.skipped_steps import describe, report_skipped

_LARGE = 2**14
"""Entries of a parameter above which a batch of its own costs less than the copy into a common one."""


@dataclass
class MatrixBatch:
    """Equally shaped matrices of several parameters, with their state, as the stages of a chain see them.

    Args:
        group: Options of the parameter group.
        parameters: Parameters in the order of the batch.
        states: Their states, one dictionary each.
        sizes: Number of matrices per parameter, with sum B.
        gradient: Gradients, shape (B, m, n).
        step: Number of steps that each of them has taken.
    """

    group: dict[str, Any]
    parameters: list[Tensor]
    states: list[dict[str, Any]]
    sizes: list[int]
    gradient: Tensor
    step: int

    def get(self, key: str, start: Callable[[], Tensor] | None = None) -> Tensor:
        """Return the state `key` of all matrices, axis 0 of length B, or `start()` before the first `put`."""
        if start is not None and key not in self.states[0]:
            return start()
        parts = [state[key] for state in self.states]
        return _stack(parts)

    def put(self, key: str, value: Tensor) -> None:
        """Keep a state of axis 0 of length B, each parameter its own part."""
        for state, part in zip(self.states, value.split(self.sizes), strict=True):
            state[key] = part


Stage = Callable[[Tensor, MatrixBatch], Tensor]
"""Maps an update of shape (B, m, n) to the next, never in place; options come from batch.group."""


class MatrixOptimizer(Optimizer):
    """W ← (1 - lr λ) W - lr stage_k(… stage_1(G)), per matrix; elementwise parameters run through a chain of their own.

    A parameter group may carry `matrix_view`, a name of pdeflow.optim.matrix_views; without it parameters of two or more axes
    are matrices (fan-out first) and the others elementwise.

    Args:
        params: Parameters or groups; a group may set any option, and `matrix_view`.
        options: Defaults of the groups, `lr` and `weight_decay` among them.
        chain: Stages for matrices.
        elementwise: Stages for elementwise parameters, whose step is lr times `adamw_lr_ratio`.
        entrywise: Whether elementwise parameters are seen as 1×1 matrices (one batch, for rules that treat entries alike)
            or as one row each.

    Raises:
        ValueError: If a setting is out of range, or a view is unknown or does not fit its parameters.
    """

    def __init__(
        self,
        params: ParamsT,
        options: dict[str, Any],
        chain: Sequence[Stage],
        elementwise: Sequence[Stage],
        entrywise: bool = True,
    ) -> None:
        self.chain, self.elementwise, self.entrywise = tuple(chain), tuple(elementwise), entrywise
        stages = ", ".join(stage.__name__ for stage in chain)
        super().__init__(params, options | {"chain": f"{type(self).__name__}({stages})"})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, after checking its settings and its view.

        Args:
            param_group: Dictionary with `params` and any option of the constructor, or `matrix_view`.

        Raises:
            ValueError: If a setting is out of range, or the view is unknown or does not fit.
        """
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            check_settings(group)
            for p in group["params"]:
                view = view_of(p, group)
                check_view(p, view)
                if view != "elementwise" and (p.is_complex() or find_view(view).stored_complex):
                    working_dtype(torch.complex64, group.get("polar_dtype", "same"))
        except ValueError:
            self.param_groups.pop()
            raise

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; those of one shape share the linear algebra.

        Args:
            closure: Re-evaluates the loss, with gradients.

        Returns:
            The closure's loss, or None.

        Raises:
            ValueError: If a gradient is sparse, or has not been finite for MAX_SKIPPED steps in a row.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for key, batch in self._batches(group).items():
                self._update(batch, elementwise=bool(key[0]))
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a saved state, bit by bit: nothing is cast to the type of the parameters.

        Args:
            state_dict: What state_dict returned.

        Raises:
            DataError: If it is of another chain, or was taken with other views of the parameters.
        """
        for saved, group in zip(state_dict["param_groups"], self.param_groups, strict=False):
            for key in ("chain", "matrix_view"):
                if saved.get(key) != group.get(key):
                    raise DataError(
                        f"saved optimizer state has {key} {saved.get(key)}, this one {group.get(key)}; "
                        "resume with the same optimizer and network, or start without the optimizer's state"
                    )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Casting complex values to real")  # torch casts; undone below
            super().load_state_dict(state_dict)
        for saved, group in zip(state_dict["param_groups"], self.param_groups, strict=True):
            for index, p in zip(saved["params"], group["params"], strict=True):
                for key, value in state_dict["state"].get(index, {}).items():
                    if isinstance(value, Tensor):
                        self.state[p][key] = value.detach().to(p.device, copy=True)

    def _batches(self, group: dict[str, Any]) -> dict[tuple[Hashable, ...], MatrixBatch]:
        """Sort gradients that are finite into batches of equal shape, type, place and age."""
        batches: dict[tuple[Hashable, ...], MatrixBatch] = {}
        gradients: dict[tuple[Hashable, ...], list[Tensor]] = {}
        for p in self._usable(group):
            matrix, state = self._matrices(p, group), self.state[p]
            elementwise = view_of(p, group) == "elementwise"
            shape = () if elementwise and self.entrywise else tuple(p.shape)
            alone = id(p) if matrix.numel() > _LARGE else None
            key = (elementwise, shape, alone, matrix.dtype, matrix.device, state["step"])
            batch = batches.setdefault(key, MatrixBatch(group, [], [], [], matrix, state["step"]))
            batch.parameters.append(p)
            batch.states.append(state)
            batch.sizes.append(len(matrix))
            gradients.setdefault(key, []).append(matrix)
        for key, parts in gradients.items():
            batches[key].gradient = _stack(parts)
        return batches

    def _update(self, batch: MatrixBatch, elementwise: bool) -> None:
        update = batch.gradient
        for stage in self.elementwise if elementwise else self.chain:
            update = stage(update, batch)
        lr = batch.group["lr"] * (batch.group["adamw_lr_ratio"] if elementwise else 1.0)
        if batch.group["weight_decay"]:
            torch._foreach_mul_(batch.parameters, 1 - lr * batch.group["weight_decay"])
        parts = zip(update.split(batch.sizes), batch.parameters, strict=True)
        torch._foreach_add_(batch.parameters, [self._entries(part, p, batch.group) for part, p in parts], alpha=-lr)
        for state in batch.states:
            state["step"] += 1

    def _matrices(self, p: Tensor, group: dict[str, Any]) -> Tensor:
        """See the gradient as (B, m, n) in at least float32; entries of complex parameters as pairs of real ones."""
        tensor, view = p.grad, view_of(p, group)
        assert tensor is not None
        if view == "elementwise" and self.entrywise:
            matrix = (torch.view_as_real(tensor) if tensor.is_complex() else tensor).reshape(-1, 1, 1)
        else:
            matrix = to_matrix(tensor, view)
        return matrix.float() if matrix.dtype in (torch.bfloat16, torch.float16) else matrix

    def _entries(self, matrix: Tensor, p: Tensor, group: dict[str, Any]) -> Tensor:
        view = view_of(p, group)
        if view != "elementwise" or not self.entrywise:
            return from_matrix(matrix, view, p)
        if p.is_complex():
            return torch.view_as_complex(matrix.reshape(*p.shape, 2))
        return matrix.reshape(p.shape)

    def _usable(self, group: dict[str, Any]) -> list[Tensor]:
        """Leave out gradients that are not finite, with a warning; give up after MAX_SKIPPED in a row."""
        found = [p for p in group["params"] if p.grad is not None]
        for p in found:
            if p.grad.is_sparse:
                raise ValueError(f"{type(self).__name__} needs dense gradients, got a sparse {tuple(p.shape)}; set sparse=False")
        sums = torch.stack([p.grad.sum() for p in found]).isfinite().tolist() if found else []
        finite = [good or bool(p.grad.isfinite().all()) for p, good in zip(found, sums, strict=True)]  # a sum may overflow
        for p, good in zip(found, finite, strict=True):
            state = self.state[p]
            state["step"] = state.get("step", 0)
            state["skipped"] = 0 if good else state.get("skipped", 0) + 1
            if not good:
                report_skipped(describe(p, group), state["skipped"])
        return [p for p, good in zip(found, finite, strict=True) if good]


def _stack(parts: list[Tensor]) -> Tensor:
    """Concatenate batches of matrices in the order in which they are stored, be it transposed."""
    if len(parts) == 1:
        return parts[0]
    if not parts[0].is_contiguous() and all(part.ndim == 3 and part.mT.is_contiguous() for part in parts):
        return torch.cat([part.mT for part in parts]).mT
    return torch.cat(parts)
