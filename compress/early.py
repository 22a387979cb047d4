"""Rounding before moving: quantize nodes go in front of what only moves values, which then moves a quarter as much.

Exact, since moving and rounding do not care for each other's order, and nor does a ReLU between them. Of the full-size
network, the compiled code wrote the 224 channels that a fusion of scales joins in float, and read them again to round
them.
"""

import torch
from torch.fx import GraphModule, Node
from torch.fx.node import Argument

from compress.graph import RELUS
from compress.signed import QUANTIZE

aten = torch.ops.aten
MOVES = (
    aten.cat.default,
    aten.upsample_nearest2d.vec,
    aten.pixel_shuffle.default,
    aten.slice.Tensor,
)
"""What only moves values: rounded before or after it, they are the same."""


def quantize_early_(graph: GraphModule) -> int:
    """Put quantize nodes in front of concatenations, resizes and the like; returns in front of how many."""
    moved = 0
    # What is put in front may stand behind another move: the graph grows while it is walked, until nothing is left.
    waiting = [node for node in graph.graph.nodes if node.target is QUANTIZE]
    while waiting:
        node = waiting.pop()
        move = node.args[0]
        if isinstance(move, Node) and move.target in RELUS:
            move = _activated_early(graph, move)
        if not isinstance(move, Node) or move.target not in MOVES:
            continue
        with graph.graph.inserting_before(node):
            rounded = {source: _rounded(graph, source, node) for source in move.all_input_nodes if _is_picture(source)}
            again = _on(graph, move, rounded)
        node.replace_all_uses_with(again)
        graph.graph.erase_node(node)
        waiting += rounded.values()
        moved += 1
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return moved


def _activated_early(graph: GraphModule, relu: Node) -> Node:
    """What a ReLU gives, as a move of what ReLUs before it give, if it is a move that it follows."""
    move = relu.all_input_nodes[0]
    if move.target not in MOVES:
        return relu
    with graph.graph.inserting_before(relu):
        activated = {source: _activated(graph, source) for source in move.all_input_nodes if _is_picture(source)}
        return _on(graph, move, activated)


def _activated(graph: GraphModule, source: Node) -> Node:
    activated = graph.graph.call_function(torch.ops.aten.relu.default, (source,))
    activated.meta["val"] = source.meta["val"]
    return activated


def _rounded(graph: GraphModule, source: Node, like: Node) -> Node:
    arguments: tuple[Argument, ...] = (source, *like.args[1:])
    return graph.graph.call_function(QUANTIZE, arguments)


def _on(graph: GraphModule, move: Node, rounded: dict[Node, Node]) -> Node:
    """The same move of what was rounded before it."""
    return graph.graph.node_copy(move, lambda source: rounded.get(source, source))


def _is_picture(node: Node) -> bool:
    """Whether a node is a tensor, not one of the sides that slices and resizes of dynamic sizes take."""
    return isinstance(node.meta.get("val"), torch.Tensor)
