"""How small the steps of INT8 may be.

Where a tensor holds anything, its own range decides. Two limits are those of runtimes, found by trying them:
- ONNX Runtime and XNNPACK add biases as 32-bit integers in steps of input times weight, which must be wide enough.
- XNNPACK refuses a convolution whose steps of input times weight are 256 times those of its output, or more.
"""

from collections.abc import Iterator
from operator import attrgetter

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from compress.graph import RELUS, layer_name
from compress.known import Known
from compress.placing import CONVOLUTIONS

_LARGEST_BIAS = 2.0**30
"""In steps: a half of what 32 bits hold, the other half is left to the sum of products."""
_LARGEST_RATIO = 255.0


def raise_scales_(prepared: GraphModule) -> list[str]:
    """Raise the scales of a settled graph to what runtimes need; says of which layers, and how much."""
    notes = []
    for node in prepared.graph.nodes:
        if node.target not in CONVOLUTIONS:
            continue
        source, weight = (_known(prepared, argument) for argument in node.all_input_nodes[:2])
        if source is None or weight is None:
            continue
        layer = layer_name(node)
        if raised := _raise_(weight, _needed_by_bias(prepared, node, source)):
            notes.append(f"{layer}: steps of its weights {raised}, so that runtimes can add its bias in 32 bits")
        of_outputs = (_raise_(rounded, _needed_by_ratio(source, weight)) for rounded in _outputs(prepared, node))
        notes += [f"{layer}: steps of its output {raised}, so that XNNPACK takes it" for raised in of_outputs if raised]
    return notes


def _raise_(known: Known, least: Tensor) -> str:
    """Raise scales to the least ones; says how many and how much, nothing if none were."""
    least = least.to(known.scale)
    low = known.scale < least
    if not low.any():
        return ""
    factor = float((least / known.scale)[low].max())
    known.scale = torch.where(low, least, known.scale)
    return f"are up to {factor:.3g} times as wide ({int(low.sum())} of {low.numel()})"


def _needed_by_bias(prepared: GraphModule, node: Node, source: Known) -> Tensor:
    """The least scale of each output channel's weights."""
    bias = node.args[2] if len(node.args) > 2 else None
    if not isinstance(bias, Node) or bias.op != "get_attr":
        return torch.zeros(1)
    values: Tensor = attrgetter(str(bias.target))(prepared).detach()
    least: Tensor = values.abs() / (_LARGEST_BIAS * source.scale)
    return least


def _needed_by_ratio(source: Known, weight: Known) -> Tensor:
    """The least scale of the output."""
    least: Tensor = source.scale * weight.scale.max() / _LARGEST_RATIO
    return least


def _outputs(prepared: GraphModule, node: Node) -> Iterator[Known]:
    """What rounds the output, after the ReLU if one follows."""
    for user in node.users:
        known = _known(prepared, user)
        if known is not None:
            yield known
        elif user.target in RELUS:
            yield from (one for after in user.users if (one := _known(prepared, after)) is not None)


def _known(prepared: GraphModule, node: Node) -> Known | None:
    module = prepared.get_submodule(str(node.target)) if node.op == "call_module" else None
    return module if isinstance(module, Known) else None
