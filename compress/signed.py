"""Quantized graphs with signed activations, exactly: some runtimes have kernels for these only."""

from operator import attrgetter

import torch
from torch.ao.quantization.fx import _decomposed  # noqa: F401  it registers the operators
from torch.fx import GraphModule, Node

_OFFSET = 128
QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
DEQUANTIZE = torch.ops.quantized_decomposed.dequantize_per_tensor.default


def make_signed_(graph: GraphModule) -> int:
    """Store unsigned 8-bit activations as signed ones, 128 lower, zero point and limits too; returns how many nodes.

    Every value that is dequantized stays the same, bit for bit.
    """
    unsigned = [n for n in graph.graph.nodes if n.target in (QUANTIZE, DEQUANTIZE) and n.args[5] is torch.uint8]
    for node in unsigned:
        if node.target is QUANTIZE and any(user.target is not DEQUANTIZE for user in node.users):
            raise ValueError(f"{node.name} is used by something else than a dequantize node")
        values, scale, zero_point, lowest, highest, _ = node.args
        if isinstance(values, Node) and values.op == "get_attr":
            values = _lowered(graph, values, node)
        node.args = (values, scale, zero_point - _OFFSET, lowest - _OFFSET, highest - _OFFSET, torch.int8)
    graph.recompile()
    return len(unsigned)


def _lowered(graph: GraphModule, constant: Node, before: Node) -> Node:
    """A constant as it is stored signed: factors of channels, say, which are rounded in advance."""
    name = f"_signed_{before.name}"
    graph.register_buffer(name, (attrgetter(str(constant.target))(graph).int() - _OFFSET).to(torch.int8))
    with graph.graph.inserting_before(before):
        return graph.graph.get_attr(name)
