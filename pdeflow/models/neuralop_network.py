"""Use neuraloperator's own models as networks of a task: normalised, reloadable, and refused where they are wrong.

Their checkpoints hold a mapping of Python objects beside the tensors, which Lightning and `weights_only` loading refuse;
their spectral convolution shifts the wrong way on grids of odd size up to version 2.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor, nn

from pdeflow.models.normalizer import Normalizer

EXTRA = "_metadata"
"""Key of the mapping in their state."""
LAST_WRONG = (2, 0, 0)
"""Last version with the fault on odd grids."""


class NeuralopNetwork(nn.Module):
    """A model of neuraloperator, or any network from (batch, channels, *grid) to fields, between fitted normalisers.

    To go on without it, take its weights over: `pdeflow.models.from_neuralop`.

    In a settings file name it by text, for the parser cannot read all defaults of its models:
    `init_args: {model: neuralop.models.FNO, options: {n_modes: [16, 16], in_channels: 1, out_channels: 1, hidden_channels: 32}}`.

    Args:
        network: The model, built; or None.
        model: Path of its class inside neuralop, where it is to be built here.
        options: Arguments of that class.
        in_channels: Channels of the input; by default those that the network names.
        out_channels: Channels of the output; by default those that the network names.

    Raises:
        ValueError: If neither or both ways are given, the class is not one of neuraloperator, or the network does not name its
            channels and they are not given.
    """

    def __init__(
        self, network: nn.Module | None = None, in_channels: int | None = None, out_channels: int | None = None, *,
        model: str | None = None, options: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if (network is None) == (model is None):
            raise ValueError("give either a built network, or model: neuralop.models.NAME with its options")
        network = built(str(model), options or {}) if network is None else network
        named: Any = network
        into, out = in_channels or getattr(named, "in_channels", None), out_channels or getattr(named, "out_channels", None)
        if into is None or out is None:
            raise ValueError(f"{type(network).__name__} does not name its channels; give in_channels and out_channels")
        self.network = network
        self.input_normalizer, self.output_normalizer = Normalizer(into), Normalizer(out)
        self._register_state_dict_hook(_without_objects)
        self.register_load_state_dict_pre_hook(_drop_objects)

    def check_grid(self, shape: Sequence[int]) -> None:
        """Refuse a grid on which the model is wrong.

        Args:
            shape: Points per axis.

        Raises:
            ValueError: If an axis is odd and the installed version shifts the wrong way, or has fewer points than modes.
        """
        model: Any = self.network
        if type(model).__module__.startswith("neuralop.") and installed() <= LAST_WRONG and any(n % 2 for n in shape):
            odd = next(n for n in shape if n % 2)
            number = ".".join(map(str, installed()))
            raise ValueError(
                f"neuralop {number} SpectralConv is incorrect on odd grids ({odd}); use an even grid, or pdeflow.models.FNO"
            )
        modes = getattr(model, "n_modes", None)
        for axis, (m, n) in enumerate(zip(modes or (), shape, strict=False)):
            if m > n:
                raise ValueError(f"n_modes={m} exceeds grid {n} along axis {axis}; at most {n} modes exist: lower n_modes")

    def fit_normalizers(self, a: Tensor, u: Tensor) -> None:
        """Fit both normalisers to the training fields.

        Args:
            a: Inputs, shape (samples, in_channels, *grid).
            u: Outputs, shape (samples, out_channels, *grid).

        Raises:
            ValueError: If the channels differ or a value is not finite.
        """
        self.input_normalizer.fit(a)
        self.output_normalizer.fit(u)

    def forward(self, a: Tensor) -> Tensor:
        """Predict.

        Args:
            a: Inputs in physical units, shape (batch, in_channels, *grid).

        Returns:
            Fields in physical units, shape (batch, out_channels, *grid).

        Raises:
            ValueError: If the dtype is not that of the weights, which their complex parts do not follow.
        """
        expected = next(p for p in self.network.parameters() if not p.is_complex()).dtype
        if a.dtype != expected or (expected == torch.float64 and _has_single_complex(self.network)):
            raise ValueError(
                f"input {a.dtype}, weights {expected}: neuraloperator's complex weights are single precision; use float32"
            )
        return self.output_normalizer.inverse(self.network(self.input_normalizer(a)))


def built(model: str, options: Mapping[str, Any]) -> nn.Module:
    """Build a model of neuraloperator.

    Args:
        model: Path of the class, "neuralop.models.FNO" for example.
        options: Its arguments.

    Returns:
        The model.

    Raises:
        ValueError: If there is no such class, or it refuses the options.
    """
    module, _, name = model.rpartition(".")
    if module.split(".")[0] != "neuralop":
        raise ValueError(f"model must be a class of neuralop, for example neuralop.models.FNO, got {model!r}")
    try:
        made: nn.Module = getattr(import_module(module), name)(**options)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{model} cannot be built with {dict(options)}: {' '.join(str(error).split())}") from error
    return made


def installed() -> tuple[int, ...]:
    """Return the version of neuraloperator, (0,) where there is none."""
    try:
        return tuple(int(part) for part in version("neuraloperator").split(".")[:3] if part.isdigit())
    except PackageNotFoundError:
        return (0,)


def _has_single_complex(network: nn.Module) -> bool:
    return any(p.dtype == torch.complex64 for p in network.parameters())


def _without_objects(module: nn.Module, state: dict[str, Any], prefix: str, local: Mapping[str, Any]) -> None:
    """Take what is no tensor out of a state."""
    for key in [key for key in state if key == EXTRA or key.endswith(f".{EXTRA}")]:
        del state[key]


def _drop_objects(module: nn.Module, state: dict[str, Any], prefix: str, *others: Any) -> None:
    """Ignore the mapping in checkpoints of neuraloperator, and take their names without a prefix."""
    _without_objects(module, state, prefix, {})
