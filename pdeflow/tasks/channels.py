"""Whether a network has as many channels as the data, in words that name them: frames of an evolution are channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

MOST_NAMES = 6
"""Names of channels that a message lists at most."""


def check_channels(network: nn.Module, a: Tensor, u: Tensor, data: Any) -> None:
    """Compare the channels of a network's normalisers, where it has them, with those of the training fields.

    Args:
        network: The network; those without `input_normalizer` and `output_normalizer` are left to their first prediction.
        a: Inputs, shape (samples, C_in, *grid).
        u: Solutions, shape (samples, C_out, *grid).
        data: Data module, whose `inputs`, `outputs` and `times`, where it has them, name the channels.

    Raises:
        ValueError: If the channels differ; says what they are and which option to set.
    """
    names, outputs = (tuple(getattr(data, name, ())) for name in ("inputs", "outputs"))
    inner = ", and the networks inside it to match" if hasattr(network, "network") else ""
    frames = len(getattr(data, "times", ())) or 1
    for side, fields, channels in (("in", a, channel_words(names, 1)), ("out", u, channel_words(outputs, frames))):
        normalizer: Any = getattr(network, f"{side}put_normalizer", None)
        if normalizer is None or len(normalizer.mean) == fields.shape[1]:
            continue
        count, found = len(normalizer.mean), fields.shape[1]
        kind = "inputs" if side == "in" else "solutions"
        option = f"--model.network.{side}_channels {found}"
        raise ValueError(
            f"it has {count} {side}put channel{'s' * (count > 1)}, the {kind} of the data have {found}{channels}; set {option}{inner}"
        )


def channel_words(names: Sequence[str], frames: int) -> str:
    """Put into words what channels are.

    Args:
        names: Names of the fields.
        frames: Channels of each field, in the order of its times.

    Returns:
        Such as " (mask, f)" or " (11 frames of u)"; nothing where there are no names.
    """
    if not names:
        return ""
    listed = ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
    if frames == 1:
        return f" ({listed})"
    return f" ({frames} frames of {'each of ' if len(names) > 1 else ''}{listed})"
