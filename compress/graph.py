"""The graph that is deployed: one picture in, the finest output out, any height and width, nothing that is not used."""

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.fx import GraphModule

from baseline.restorer import Finest, check_size, size_multiple_of

_LARGEST_SIDE = 16384


def deployed_graph(network: nn.Module, example: Tensor) -> GraphModule:
    """The network, traced at the example's N,3,H,W for all multiples of its `size_multiple`, finest output only."""
    multiple = size_multiple_of(network)
    check_size((example.shape[-2], example.shape[-1]), multiple)
    finest = network if isinstance(network, Finest) else Finest(network)
    module = torch.export.export(finest, (example,), dynamic_shapes=dynamic_sides(multiple)).module()
    if not isinstance(module, GraphModule):
        raise TypeError(f"torch.export gave a {type(module).__name__}")
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    state_limits_(module, multiple)
    return module


def state_limits_(module: GraphModule, multiple: int) -> None:
    """Let a graph state what its input's sides must be multiples of, as networks do, and that it takes one picture."""
    module.__dict__["size_multiple"] = multiple
    module.__dict__["max_batch"] = 1


def dynamic_sides(multiple: int) -> tuple[dict[int, object]]:
    """Height and width as multiples of a number, for torch.export."""
    longest = _LARGEST_SIDE // multiple
    height, width = Dim("height", min=2, max=longest), Dim("width", min=2, max=longest)
    return ({2: multiple * height, 3: multiple * width} if multiple > 1 else {2: height, 3: width},)


def used_bytes(module: GraphModule) -> int:
    """Bytes of the weights and tables that the graph reads."""
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    targets = {str(node.target) for node in module.graph.nodes if node.op == "get_attr"}
    return sum(t.numel() * t.element_size() for name, t in state.items() if name in targets)
