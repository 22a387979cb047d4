import pytest
import torch
from torch import nn

from compress.graph import deployed_graph

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("kernel", "dilation", "operator"),
    [(3, 1, aten.conv2d.default), (5, 2, aten.conv2d.default), (4, 1, aten.conv2d.padding)],
)
def test_even_paddings_called_same_are_stated_as_numbers(kernel: int, dilation: int, operator: object) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, kernel, padding="same", dilation=dilation),
        nn.ReLU(),
        nn.Conv2d(8, 3, kernel, padding="same", dilation=dilation, bias=False),
    )
    picture = torch.rand(1, 3, 24, 32)
    graph = deployed_graph(network, picture)
    assert [node.target for node in graph.graph.nodes if "conv2d" in str(node.target)] == [operator, operator]
    assert torch.equal(graph(picture), network(picture))
