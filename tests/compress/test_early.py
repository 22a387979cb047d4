from pathlib import Path

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from compress.early import quantize_early_
from compress.graph import RELUS, deployed_graph
from compress.quantize import open_artifact
from compress.signed import DEQUANTIZE, QUANTIZE

MOVED = ("cat", "upsample", "pixel_shuffle")


def moves_in_float(graph: GraphModule) -> list[str]:
    """What moves values that are rounded right after it."""
    quantized = [node.args[0] for node in graph.graph.nodes if node.target is QUANTIZE]
    behind = [n.args[0] if isinstance(n, Node) and n.target in RELUS else n for n in quantized]
    return [n.name for n in behind if isinstance(n, Node) and any(word in n.name for word in MOVED)]


@torch.no_grad()
def test_the_teachers_structure_moves_rounded_values_and_gives_the_same_bits(
    int8_folder: Path, photo_tensor: Tensor
) -> None:
    picture = photo_tensor[..., :64, :96]
    graph = deployed_graph(open_artifact(int8_folder), picture)
    expected = graph(picture)
    assert moves_in_float(graph)
    assert quantize_early_(graph) > 0
    assert moves_in_float(graph) == []
    assert torch.equal(graph(picture), expected)
    assert quantize_early_(graph) == 0


class Joined(nn.Module):
    """What is moved is used in float, too; a resize feeds a resize; one source is joined with itself, before a ReLU."""

    size_multiple = 4

    def forward(self, blurred: Tensor) -> Tensor:
        small = nn.functional.interpolate(blurred, scale_factor=0.5)
        again = nn.functional.interpolate(nn.functional.interpolate(small, scale_factor=2), scale_factor=0.5)
        both = torch.cat([small, again, small], 1)[:, 1:7].relu()
        rounded = QUANTIZE(both, 0.01, 3, 0, 255, torch.uint8)
        return nn.functional.interpolate(DEQUANTIZE(rounded, 0.01, 3, 0, 255, torch.uint8) + both, scale_factor=2)


def test_what_is_used_in_float_too_stays_there(photo_tensor: Tensor) -> None:
    picture = photo_tensor[..., :32, :48] - 0.5
    graph = deployed_graph(Joined(), picture)
    assert quantize_early_(graph) > 3
    assert torch.equal(graph(picture), Joined()(picture))
    rounded = [node.all_input_nodes[0] for node in graph.graph.nodes if node.target is QUANTIZE]
    assert {node.target for node in rounded} <= set(RELUS)
    assert {node.all_input_nodes[0].op for node in rounded} == {"placeholder"}
