"""What a network costs before any clock is read: parameters and multiply-adds of what is deployed."""

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import conv_flop_count, get_shape
from torch import nn
from torch.fx import GraphModule

from baseline.restorer import Finest, outputs_of, size_multiple_of
from compress.graph import used_bytes

_NO_MULTIPLY_ADDS = (
    "aten::upsample_nearest2d",
    "aten::upsample_bilinear2d",
    "aten::adaptive_avg_pool2d",
    "aten::batch_norm",
    "aten::group_norm",
    "aten::layer_norm",
    "aten::instance_norm",
)
"""Operators for which fvcore counts something other than multiply-adds, such as one for each output element."""


@dataclass(frozen=True)
class Cost:
    """`params` and `macs` of the deployed graph (the finest output) at one input size, `training_params` of the whole.

    One multiply-add is one MAC. `uncounted` are the operators that the counter leaves out, with their number.
    """

    params: int
    training_params: int
    macs: int
    size: tuple[int, int]
    uncounted: dict[str, int] = field(default_factory=dict)


def cost(network: nn.Module, size: tuple[int, int] = (256, 256)) -> Cost:
    """Count a network at batch 1, the size as height and width."""
    macs, uncounted = count_macs(network, size)
    return Cost(deployed_params(network), parameters(network), macs, size, uncounted)


def count_macs(network: nn.Module, size: tuple[int, int] = (256, 256)) -> tuple[int, dict[str, int]]:
    """Multiply-adds of one picture of height x width as fvcore counts them, and the operators that it leaves out."""
    example = torch.zeros(1, 3, *size, device=next(network.parameters()).device)
    analysis = FlopCountAnalysis(Finest(network), example)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    uncounted: Counter[str] = Counter()
    analysis.set_op_handle(**{name: _uncounted(name, uncounted) for name in _NO_MULTIPLY_ADDS})
    analysis.set_op_handle("aten::_convolution_mode", _padded_by_name)
    with torch.no_grad():
        macs = int(analysis.total())
    uncounted += analysis.unsupported_ops()
    return macs, dict(uncounted)


def _padded_by_name(inputs: list[Any], outputs: list[Any]) -> int:
    """The multiply-adds of a convolution whose padding is 'same' or 'valid', which fvcore does not know."""
    return int(conv_flop_count(get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0])))


def _uncounted(name: str, uncounted: Counter[str]) -> Callable[[list[Any], list[Any]], int]:
    def note(_inputs: list[Any], _outputs: list[Any]) -> int:
        uncounted[name] += 1
        return 0

    return note


def weight_bytes(opened: nn.Module, params: int) -> int:
    """Bytes of the weights of a network from `compress.quantize.open_artifact` with so many deployed parameters."""
    if isinstance(opened, GraphModule):
        return used_bytes(opened)
    return params * next(opened.parameters()).element_size()


def parameters(network: nn.Module) -> int:
    """The number of parameters, those of outputs that are only trained on included."""
    return sum(p.numel() for p in network.parameters())


def deployed_params(network: nn.Module) -> int:
    """The number of parameters that the finest output depends on."""
    used = used_parameters(network)
    return sum(p.numel() for name, p in network.named_parameters() if name in used)


def used_parameters(network: nn.Module) -> set[str]:
    """The names of the parameters that the finest output depends on."""
    whole = copy.deepcopy(network).requires_grad_(True)
    own = dict(whole.named_parameters())
    side = 16 * size_multiple_of(network)
    example = torch.rand(1, 3, side, side, device=next(iter(own.values())).device)
    with torch.enable_grad():
        finest = outputs_of(whole, example)[-1]
        gradients = torch.autograd.grad(finest.sum(), list(own.values()), allow_unused=True)
    return {name for name, gradient in zip(own, gradients, strict=True) if gradient is not None}
