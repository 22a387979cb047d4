"""What pruning left of a network's layers, in a form that rebuilds the shapes without pickling anything."""

from typing import Any

import torch
from torch import nn

from baseline.errors import UserError

ChannelPlan = dict[str, dict[str, Any]]
"""Changed layer -> {"attributes": {"in_channels": 11, ...}, "shapes": {"weight": [16, 11, 3, 3], ...}}."""

_WIDTHS = (
    "in_channels",
    "out_channels",
    "groups",
    "in_features",
    "out_features",
    "num_features",
    "num_channels",
    "num_parameters",
)
"""The attributes by which layers state their widths."""


def channel_plan(network: nn.Module, unpruned: nn.Module) -> ChannelPlan:
    """The layers in which `network` differs from `unpruned`, which has the same layer names."""
    originals = dict(unpruned.named_modules())
    plan: ChannelPlan = {}
    for name, layer in network.named_modules():
        shapes = _shapes(layer)
        if name in originals and shapes != _shapes(originals[name]):
            attributes = {a: getattr(layer, a) for a in _WIDTHS if hasattr(layer, a)}
            plan[name] = {"attributes": attributes, "shapes": shapes}
    return plan


def apply_channel_plan_(network: nn.Module, plan: ChannelPlan) -> None:
    """Give the layers of an unpruned network the planned widths, in place; their weights are left uninitialised.

    A UserError for a plan that is not one of widths and shapes of this network.
    """
    layers = dict(network.named_modules())
    for name, change in plan.items():
        _check(name, change, layers)
        layer = layers[name]
        for attribute, value in change.get("attributes", {}).items():
            setattr(layer, attribute, value)
        for key, shape in change.get("shapes", {}).items():
            own = getattr(layer, key)
            resized = torch.empty(shape, dtype=own.dtype)
            is_parameter = isinstance(own, nn.Parameter)
            setattr(layer, key, nn.Parameter(resized, requires_grad=own.requires_grad) if is_parameter else resized)


def _check(name: str, change: dict[str, Any], layers: dict[str, nn.Module]) -> None:
    known = layers.get(name)
    widths, shapes = change.get("attributes", {}), change.get("shapes", {})
    if known is None or not (set(widths) <= set(_WIDTHS) and set(shapes) <= set(_shapes(known))):
        raise UserError(
            f"channel_plan must hold widths and shapes of the network's layers; {name!r} has others. Make the artifact "
            "again."
        )


def _shapes(layer: nn.Module) -> dict[str, list[int]]:
    own = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    return {key: list(tensor.shape) for key, tensor in own}
