"""The graph that is deployed: one picture in, the finest output out, any height and width, nothing that is not used."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.fx import GraphModule, Node

from baseline.restorer import Finest, check_size, min_size_of, size_multiple_of
from compress.tracing import traced

RELUS = (torch.ops.aten.relu.default, torch.ops.aten.relu_.default)
_CONVOLUTION_DEFAULTS = (None, None, None, [1, 1], "valid", [1, 1], 1)
"""Of its arguments, in order."""
_LARGEST_SIDE = 16384
_LARGEST_BATCH = 1024


def deployed_graph(network: nn.Module, example: Tensor) -> GraphModule:
    """The network, traced at the example's N,3,H,W for all multiples of its `size_multiple`, finest output only.

    From an example of several pictures it takes any number of them, otherwise one.
    """
    check_size((example.shape[-2], example.shape[-1]), size_multiple_of(network), min_size_of(network))
    finest = network if isinstance(network, Finest) else Finest(network)
    shapes = dynamic_sides(network, any_batch=len(example) > 1)
    module = traced(finest, example, shapes)
    _state_paddings_(module)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    state_limits_(module, network, len(example))
    return module


def _state_paddings_(module: GraphModule) -> None:
    """Paddings called 'same' and 'valid' as numbers, which every runtime knows; an uneven one keeps its name."""
    for node in module.graph.nodes:
        if node.target is not torch.ops.aten.conv2d.padding:
            continue
        given: tuple[Any, ...] = (*node.args, *_CONVOLUTION_DEFAULTS[len(node.args) :])
        picture, weight, bias, stride, padding, dilation, groups = given
        reach = [d * (k - 1) for d, k in zip(dilation, weight.meta["val"].shape[2:], strict=True)]
        if padding == "valid" or not any(one % 2 for one in reach):
            numbers = [0, 0] if padding == "valid" else [one // 2 for one in reach]
            node.target = torch.ops.aten.conv2d.default
            node.args = (picture, weight, bias, stride, numbers, dilation, groups)


def state_limits_(module: GraphModule, network: nn.Module, batch: int = 1) -> None:
    """Let a graph state the sizes of its input, as the network does that it comes from, and that it takes one image."""
    module.__dict__["size_multiple"] = size_multiple_of(network)
    module.__dict__["min_size"] = min_size_of(network)
    module.__dict__["max_batch"] = 1 if batch == 1 else None


def dynamic_sides(network: nn.Module, any_batch: bool = False) -> tuple[dict[int, object]]:
    """Height and width as multiples of a number, and the batch if it is free, for torch.export."""
    multiple = size_multiple_of(network)
    shortest, longest = min_size_of(network) // multiple, _LARGEST_SIDE // multiple
    height, width = Dim("height", min=shortest, max=longest), Dim("width", min=shortest, max=longest)
    sides: dict[int, object] = {2: multiple * height, 3: multiple * width} if multiple > 1 else {2: height, 3: width}
    return (sides | {0: Dim("batch", min=1, max=_LARGEST_BATCH)} if any_batch else sides,)


def layer_name(node: Node) -> str:
    """The name of the layer in the network that an operator of its graph comes from."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = stack[-1][0] if stack else node.name
    return str(path).removeprefix("L['self'].").removeprefix("network.")


def used_bytes(module: GraphModule) -> int:
    """Bytes of the weights and tables that the graph reads."""
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    targets = {str(node.target) for node in module.graph.nodes if node.op == "get_attr"}
    return sum(t.numel() * t.element_size() for name, t in state.items() if name in targets)
