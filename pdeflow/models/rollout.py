"""Advance a field step by step: a network's prediction is its next input.

Li et al., Fourier Neural Operator, ICLR 2021, section 5.3 (recurrent in time). Training through all steps sees the errors that
the network itself makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Rollout(nn.Module):
    """Predict frames u₁ … u_T from u₀ by u_{k+1} = N(u_k, c), where c are input channels that stay.

    Data hold frames as channels: a is (u₀, c) and u is (u₀, u₁, …, u_T), as the datasets of this package do, or without u₀ where
    `start` is false; each frame has as many channels as N returns.

    Args:
        network: One step: (batch, C + constant channels, *grid) to (batch, C, *grid).
        steps: Number of steps T.
        start: Whether u begins with u₀, which is returned as it came.
        trained_steps: In training, errors are carried back through so many last steps at most; None is all of them.

    Raises:
        ValueError: If a number of steps is not positive.
    """

    def __init__(self, network: nn.Module, steps: int, trained_steps: int | None = None, start: bool = True) -> None:
        super().__init__()
        if steps < 1 or (trained_steps is not None and trained_steps < 1):
            raise ValueError(f"steps and trained_steps must be at least 1, got {steps} and {trained_steps}")
        self.network, self.steps, self.trained_steps, self.start = network, steps, trained_steps, start

    def check_grid(self, shape: Sequence[int]) -> None:
        """Check that a grid fits the network.

        Args:
            shape: Points per axis.

        Raises:
            ValueError: If it does not.
        """
        getattr(self.network, "check_grid", lambda shape: None)(shape)

    def fit_normalizers(self, a: Tensor, u: Tensor) -> None:
        """Fit the network's normalisers to all frames, so that an input frame is scaled as an output frame was.

        Args:
            a: Inputs (u₀, c), shape (samples, C + constant channels, *grid).
            u: Frames, shape (samples, (T + 1) C, *grid), or T C without the start.

        Raises:
            ValueError: If the channels of u are no multiple of the steps, or a has fewer channels than a frame.
        """
        frames = self._frames(u)
        c = frames.shape[2]
        if a.shape[1] < c:
            raise ValueError(f"a frame has {c} channels and the input only {a.shape[1]}: it must begin with the first frame")
        before = torch.cat((a[:, None, :c], frames[:, :-1]), dim=1)
        constant = a[:, None, c:].expand(-1, self.steps, *[-1] * (a.ndim - 1))
        inputs = torch.cat((before, constant), dim=2)
        getattr(self.network, "fit_normalizers", lambda a, u: None)(inputs.flatten(0, 1), frames.flatten(0, 1))

    def forward(self, a: Tensor) -> Tensor:
        """Predict all frames.

        Args:
            a: u₀ and what stays, shape (batch, C + constant channels, *grid).

        Returns:
            Frames, shape (batch, (T + 1) C, *grid), or T C without the start.
        """
        frames: list[Tensor] = []
        state: Any = a
        for step in range(self.steps):
            if self.trained_steps is not None and step == self.steps - self.trained_steps:
                state = state.detach()
            frames.append(self.network(state))
            state = torch.cat((frames[-1], a[:, frames[-1].shape[1] :]), dim=1)
        return torch.cat([a[:, : frames[0].shape[1]], *frames] if self.start else frames, dim=1)

    def _frames(self, u: Tensor) -> Tensor:
        stored = self.steps + self.start
        if u.shape[1] % stored:
            raise ValueError(
                f"{u.shape[1]} channels of solutions are not {stored} frames ({self.steps} steps{' and the start' * self.start}); set steps"
            )
        return u.unflatten(1, (stored, -1))[:, self.start :]
