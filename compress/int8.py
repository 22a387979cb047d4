"""INT8 post-training quantization through PyTorch 2 export (torchao's PT2E): real integer convolutions.

On x86 CPUs without VNNI the compiled convolutions add pairs of products in 16 bits, which saturate: there the weights
get 7 bits, so that two products of at most 255 * 64 fit. Measured on the shipped teacher: with 8 bits its file agrees
with its FP32 outputs to 32 to 44 dB, where the graph that it was compiled from agrees to 48 to 53 dB.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

# torchao warns on import about CUDA libraries of its own that a CPU machine cannot load.
logging.getLogger("torchao").setLevel(logging.ERROR)
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)

from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e  # noqa: E402  after the loggers are quiet
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86  # noqa: E402

from baseline.restorer import size_multiple_of  # noqa: E402
from compress.graph import deployed_graph, state_limits_  # noqa: E402
from compress.machine import saturates_int8  # noqa: E402

_TRACED_SIDE = 64
_CONVOLUTIONS = ("conv2d", "conv_transpose2d", "convolution")


def weight_bits_here() -> int:
    """The bits of a weight with which integer convolutions are right on this machine."""
    return 7 if saturates_int8() else 8


def prepare(network: nn.Module, weight_bits: int) -> GraphModule:
    """The deployed graph of a float network with observers before and after what will be quantized."""
    graph = deployed_graph(network.eval(), torch.zeros(1, 3, _TRACED_SIDE, _TRACED_SIDE))
    settings = x86.get_default_x86_inductor_quantization_config()
    limit = 2 ** (weight_bits - 1)
    weight = replace(settings.weight, quant_min=-limit, quant_max=limit - 1)
    quantizer = x86.X86InductorQuantizer().set_global(replace(settings, weight=weight))
    prepared: GraphModule = prepare_pt2e(graph, quantizer)
    state_limits_(prepared, size_multiple_of(network))
    return prepared


@torch.no_grad()
def calibrate_(prepared: GraphModule, crops: Iterable[Tensor]) -> None:
    """Let the observers see the crops, each 1,3,H,W."""
    for crop in crops:
        prepared(crop)


def convert(prepared: GraphModule) -> GraphModule:
    """The quantized network. It consumes the prepared one."""
    multiple = size_multiple_of(prepared)
    converted: GraphModule = convert_pt2e(prepared)
    state_limits_(converted, multiple)
    return converted


def restore_state_(prepared: GraphModule, state: dict[str, Tensor]) -> None:
    """Give a freshly prepared network the weights and observed ranges that were kept. Observers take any shape."""
    own = prepared.state_dict()
    for name, tensor in state.items():
        if name in own and own[name].shape != tensor.shape:
            observer = prepared.get_submodule(name.rpartition(".")[0])
            setattr(observer, name.rpartition(".")[2], torch.empty_like(tensor))
    prepared.load_state_dict(state)


def census(converted: GraphModule) -> tuple[list[str], dict[str, str]]:
    """The layers whose convolution became integer, and those whose stayed in float, each with the reason."""
    quantized: list[str] = []
    in_float: dict[str, str] = {}
    for node in converted.graph.nodes:
        operator = str(node.target).split(".")[1] if node.op == "call_function" and "aten." in str(node.target) else ""
        if operator not in _CONVOLUTIONS:
            continue
        layer = _layer_name(node)
        if all("dequantize" in str(argument.target) for argument in node.args[:2]):
            quantized.append(layer)
        elif operator == "conv_transpose2d":
            in_float[layer] = "transposed convolutions have no integer kernel in this runtime"
        else:
            in_float[layer] = "the quantizer found no integer pattern for this convolution"
    return quantized, in_float


def _layer_name(node: Node) -> str:
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = stack[-1][0] if stack else node.name
    return str(path).removeprefix("L['self'].").removeprefix("network.")
