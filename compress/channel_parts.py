"""Which channels a split or a concatenation gives or takes, where torch-pruning leaves that out.

Behind any bare parameter of three dimensions it does, for position embeddings (1, tokens, channels). So it does behind
factors of shape (channels, 1, 1) or (heads, 1, 1), too, and then counts each part of the channels as all of them.
"""

import torch_pruning as tp
from torch_pruning.dependency import index_mapping
from torch_pruning.dependency.node import Node
from torch_pruning.ops import OPTYPE

_UPDATES = {
    OPTYPE.CONCAT: index_mapping.update_concat_index_mapping,
    OPTYPE.SPLIT: index_mapping.update_split_index_mapping,
}


def map_parts_(graph: tp.DependencyGraph) -> None:
    """Have torch-pruning follow the parts of channels wherever no parameter looks like one of tokens."""
    for node in graph.module2node.values():
        if node.type in _UPDATES and not node.enable_index_mapping and not _reads_tokens(node):
            node.enable_index_mapping = True
            _UPDATES[node.type](graph, node)


def _reads_tokens(node: Node) -> bool:
    """Whether what a node computes depends on a bare parameter of three dimensions with channels last."""
    waiting, seen = [node], {node}
    while waiting:
        one = waiting.pop()
        if one.type == OPTYPE.PARAMETER and len(one.module.shape) == 3 and one.module.shape[-1] > 1:
            return True
        fresh = [given for given in one.inputs if given not in seen]
        seen.update(fresh)
        waiting += fresh
    return False
