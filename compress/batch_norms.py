"""BatchNorms that must not be folded into the convolution before them, as torchao does with every one that follows one.

It changes the convolution's weights in place, whoever else uses them or what the convolution gives: a skip connection
around the BatchNorm, a second use of the layer, or weights that two layers share. Such networks were off by more than
half of their output. Written as a product and a sum, exactly, a BatchNorm is not folded.
"""

from collections import Counter
from operator import attrgetter

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

aten = torch.ops.aten
_FOLDED_INTO = (
    aten.conv1d.default,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.conv_transpose2d.input,
    aten.linear.default,
)


def spell_out_(graph: GraphModule, every: bool = False) -> int:
    """Write BatchNorms as a product and a sum where folding would change what others use, or all; returns how many."""
    uses = _uses(graph)
    found = [node for node in graph.graph.nodes if _follows_a_layer(node)]
    found = [node for node in found if every or not _alone(graph, node.all_input_nodes[0], uses)]
    for node in found:
        _spell_out_(graph, node)
    graph.recompile()
    return len(found)


def _uses(graph: GraphModule) -> Counter[int]:
    """How often each tensor of the state is used, whatever its names."""
    uses: Counter[int] = Counter()
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            uses[_value(graph, node).data_ptr()] += len(node.users)
    return uses


def _alone(graph: GraphModule, layer: Node, uses: Counter[int]) -> bool:
    """Whether a layer's output goes to one place only, and its weights are constants that nothing else uses."""
    constants = [argument for argument in layer.args[1:3] if isinstance(argument, Node)]
    return len(layer.users) == 1 and all(
        one.op == "get_attr" and uses[_value(graph, one).data_ptr()] == 1 for one in constants
    )


def _follows_a_layer(node: Node) -> bool:
    """Whether a node is a BatchNorm with statistics of its own, right after a layer with weights."""
    if node.target is not aten.batch_norm.default or not isinstance(node.args[3], Node):
        return False
    return node.all_input_nodes[0].target in _FOLDED_INTO


def _spell_out_(graph: GraphModule, node: Node) -> None:
    weight, bias, mean, variance = (_value(graph, one) if isinstance(one, Node) else None for one in node.args[1:5])
    if mean is None or variance is None:
        raise TypeError(f"{node.name} has no statistics of its own")
    factor = (variance + float(str(node.args[7]))).rsqrt()
    factor = factor if weight is None else factor * weight
    shift = -mean * factor if bias is None else bias - mean * factor
    shape = (1, -1, *(1 for _ in range(node.meta["val"].dim() - 2)))
    with graph.graph.inserting_before(node):
        constants = [
            _constant(graph, node, what, values.view(shape)) for what, values in (("factor", factor), ("shift", shift))
        ]
        scaled = graph.graph.call_function(aten.mul.Tensor, (node.args[0], constants[0]))
        shifted = graph.graph.call_function(aten.add.Tensor, (scaled, constants[1]))
    scaled.meta, shifted.meta = dict(node.meta), dict(node.meta)
    node.replace_all_uses_with(shifted)
    graph.graph.erase_node(node)


def _constant(graph: GraphModule, node: Node, what: str, values: Tensor) -> Node:
    name = f"_{node.name}_{what}"
    graph.register_buffer(name, values.detach())
    constant = graph.graph.get_attr(name)
    constant.meta["val"] = node.meta["val"].fake_mode.from_tensor(values.detach(), static_shapes=True)
    return constant


def _value(graph: GraphModule, node: Node) -> Tensor:
    value: Tensor = attrgetter(str(node.target))(graph)
    return value
