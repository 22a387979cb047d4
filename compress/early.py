"""Rounding before moving: quantize nodes go in front of what only moves values, which then moves a quarter as much.

Exact, since moving and rounding do not care for each other's order. Of the full-size network, the compiled code wrote
the 224 channels that a fusion of scales joins in float, and read them again to round them.
"""

import torch
from torch.fx import GraphModule, Node
from torch.fx.node import Argument

from compress.signed import QUANTIZE

aten = torch.ops.aten
_MOVES = (
    aten.cat.default,
    aten.upsample_nearest2d.vec,
    aten.pixel_shuffle.default,
    aten.slice.Tensor,
)


def quantize_early_(graph: GraphModule) -> int:
    """Put quantize nodes in front of concatenations, resizes and the like; returns in front of how many."""
    moved = 0
    # What is put in front may stand behind another move: the graph grows while it is walked, until nothing is left.
    waiting = [node for node in graph.graph.nodes if node.target is QUANTIZE]
    while waiting:
        node = waiting.pop()
        move = node.args[0]
        if not isinstance(move, Node) or move.target not in _MOVES:
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


def _rounded(graph: GraphModule, source: Node, like: Node) -> Node:
    arguments: tuple[Argument, ...] = (source, *like.args[1:])
    return graph.graph.call_function(QUANTIZE, arguments)


def _on(graph: GraphModule, move: Node, rounded: dict[Node, Node]) -> Node:
    """The same move of what was rounded before it."""
    return graph.graph.node_copy(move, lambda source: rounded.get(source, source))


def _is_picture(node: Node) -> bool:
    """Whether a node is a tensor, not one of the sides that slices and resizes of dynamic sizes take."""
    return isinstance(node.meta.get("val"), torch.Tensor)
