"""Parameter groups that tell a matrix-aware optimizer what each weight is; others ignore the extra key.

Bernstein and Newhouse, Modular duality in deep learning, ICML 2025: the norm of an update belongs to the
layer.
"""

from __future__ import annotations

from typing import Any

from torch import nn

_MATRIX_MODULES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_MIN_FAN_IN = 8
"""Below it a layer reads raw fields (lifting): its few columns have no spectrum worth shaping."""

_TENSORS = "tltorch.factorized_tensors.factorized_tensors."
_FACTORS = [f"factors.factor_{k}" for k in range(6)]
_FOREIGN: dict[str, dict[str, str]] = {
    _TENSORS + "DenseTensor": {"tensor": "spectral_channels_first"},
    _TENSORS + "TuckerTensor": {"core": "tucker_core_channels_first", **dict.fromkeys(_FACTORS, "complex_matrix")},
    _TENSORS + "CPTensor": {"weights": "elementwise", **dict.fromkeys(_FACTORS, "complex_columns")},  # components never mix
    _TENSORS + "TTTensor": dict.fromkeys(_FACTORS, "complex_train_core"),
    "neuralop.layers.skip_connections.SoftGating": {"weight": "elementwise", "bias": "elementwise"},
}
"""Views of neuraloperator's parameters, which are complex tensors, by qualified class name."""
_SEPARABLE: dict[str, str] = {"weight.tensor": "elementwise", "weight.core": "complex_matrix"}
"""Views of the weights of neuraloperator's convolutions that do not mix channels: no (in, out) axes."""


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Sort the trainable parameters of a network by the view an optimizer should take of them.

    A module's class attribute `matrix_views` decides, then the table of foreign modules, then the kind of
    layer: weights of Linear and Conv are matrices unless fan-in < 8 or fan-out = 1, the fused projections of attention are
    one block per head, rows of embeddings stand alone; everything else is elementwise.

    Args:
        network: Any module; shared parameters are counted once, frozen ones left out.

    Returns:
        Groups {"params": [...], "names": [...], "matrix_view": view} in alphabetical order of the view.

    Raises:
        ValueError: If the network has no trainable parameter.
    """
    views = _declared_views(network)
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            view = views.get(name, "elementwise")
            group = groups.setdefault(view, {"params": [], "names": [], "matrix_view": view})
            group["params"].append(parameter)
            group["names"].append(name)
    if not groups:
        raise ValueError(f"{type(network).__name__} has no trainable parameter; set requires_grad on some")
    return [groups[view] for view in sorted(groups)]


def _declared_views(network: nn.Module) -> dict[str, str]:
    """Map qualified parameter names to views; outer modules win over inner ones."""
    views: dict[str, str] = {}
    for prefix, module in network.named_modules():
        for local, view in _module_views(module).items():
            views.setdefault(f"{prefix}.{local}" if prefix else local, view)
    return views


def _module_views(module: nn.Module) -> dict[str, str]:
    """Return the views of one module's parameters, by local name."""
    declared = getattr(type(module), "matrix_views", None)
    if declared is not None:
        return dict(declared)
    kind = f"{type(module).__module__}.{type(module).__qualname__}"
    if kind in _FOREIGN:
        return _FOREIGN[kind]
    if kind.startswith("neuralop.") and getattr(module, "separable", False):
        return _SEPARABLE
    if isinstance(module, nn.Embedding):
        return {"weight": "rows"}
    if isinstance(module, nn.MultiheadAttention):
        return {"in_proj_weight": f"matrix/{3 * module.num_heads}"}
    if isinstance(module, _MATRIX_MODULES):
        fan_out, fan_in = module.weight.shape[0], module.weight[0].numel()
        if fan_out > 1 and fan_in >= _MIN_FAN_IN:
            return {"weight": "matrix"}
    return {}
