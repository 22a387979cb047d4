"""Quantized graphs with signed activations, exactly: some runtimes have kernels for these only."""

import torch
from torch.ao.quantization.fx import _decomposed  # noqa: F401  it registers the operators
from torch.fx import GraphModule

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
        node.args = (values, scale, zero_point - _OFFSET, lowest - _OFFSET, highest - _OFFSET, torch.int8)
    graph.recompile()
    return len(unsigned)
