from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from compress.runtimes import inductor

Compiled = list[tuple[int, ...]]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    """The pictures' shapes of what torch really traces and hands to the compiler, which is left out: it is slow."""
    shapes: Compiled = []

    def backend(graph: GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        picture = next(t for t in inputs if not isinstance(t, nn.Parameter) and isinstance(t, Tensor))
        shapes.append(tuple(picture.shape))
        return graph.forward

    real = nn.Module.compile
    monkeypatch.setattr(
        nn.Module, "compile", lambda self, dynamic, options: real(self, backend=backend, dynamic=dynamic)
    )
    torch._dynamo.reset()
    return shapes


def test_every_network_is_compiled_for_every_size_even_beyond_the_limit_of_torch(compiled: Compiled) -> None:
    sizes = [(8, 8), (16, 8), (8, 24)]
    # Four networks of three sizes are twelve, torch stops at eight; torch never compiles an nn.Sequential itself.
    networks = [nn.Sequential(nn.Conv2d(3, 3, 1)).eval() for _ in range(4)]
    for restorer in [inductor.wrap(network, "cpu") for network in networks]:
        for height, width in sizes:
            restorer(torch.zeros(1, 3, height, width))
    assert compiled == [(1, 3, *size) for size in sizes] * 4


def test_a_network_for_one_picture_stays_one(compiled: Compiled) -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1)).eval()
    network.__dict__.update(max_batch=1, size_multiple=4)
    restorer = inductor.wrap(network, "cpu")
    assert (restorer.max_batch, restorer.size_multiple) == (1, 4)
    assert restorer(torch.zeros(3, 3, 8, 8)).shape == (3, 3, 8, 8)
    assert compiled == [(1, 3, 8, 8)]


@pytest.mark.parametrize("cuda_graphs", [True, False])
def test_on_a_gpu_graphs_are_a_choice_and_their_memory_is_not_handed_out(
    monkeypatch: pytest.MonkeyPatch, cuda_graphs: bool
) -> None:
    asked: list[object] = []
    one_memory = torch.zeros(1, 3, 8, 8)

    def replay(blurred: Tensor) -> Tensor:
        return one_memory.copy_(blurred)

    monkeypatch.setattr(inductor, "on_device", lambda network, device: network)
    monkeypatch.setattr(nn.Module, "compile", lambda self, dynamic, options: asked.append(options))
    network = nn.Identity()
    monkeypatch.setattr(network, "forward", replay)
    restorer = inductor.wrap(network, "cuda", cuda_graphs=cuda_graphs)
    assert asked == [{"triton.cudagraphs": cuda_graphs}]
    first = restorer(torch.full((1, 3, 8, 8), 0.25))
    restorer(torch.full((1, 3, 8, 8), 0.75))
    assert float(first[0, 0, 0, 0]) == (0.25 if cuda_graphs else 0.75)
