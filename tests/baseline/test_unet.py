import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baseline.networks.unet import DoubleConvolutions
from baseline.networks.zoo import build
from compress.cost import count_macs, parameters
from compress.graph import deployed_graph


def convolutions(state: dict[str, Tensor], name: str, x: Tensor, count: int) -> Tensor:
    for i in range(0, 2 * count, 2):
        x = F.relu(F.conv2d(x, state[f"{name}.{i}.weight"], state[f"{name}.{i}.bias"], padding=1))
    return x


@torch.no_grad()
@pytest.mark.parametrize("num_blocks", [1, 2])
def test_the_network_is_its_straight_line(num_blocks: int) -> None:
    torch.manual_seed(0)
    network = build("unet", {"width": 6, "num_blocks": num_blocks}).eval()
    s = network.state_dict()
    count = 2 * num_blocks
    image = torch.rand(2, 3, 16, 24)

    def halved(x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).amax((-1, -3))

    def doubled(x: Tensor, name: str) -> Tensor:
        # A 2x2 transposed convolution of stride 2 makes each pixel a patch of its own.
        patches = torch.einsum("nihw,ioab->nohawb", x, s[f"{name}.weight"]).flatten(-2).flatten(-3, -2)
        return patches + s[f"{name}.bias"][:, None, None]

    full = convolutions(s, "encoder.0", image, count)
    half = convolutions(s, "encoder.1", halved(full), count)
    quarter = convolutions(s, "encoder.2", halved(half), count)
    half = convolutions(s, "decoder.0", torch.cat([half, doubled(quarter, "up.0")], 1), count)
    full = convolutions(s, "decoder.1", torch.cat([full, doubled(half, "up.1")], 1), count)
    expected = F.conv2d(full, s["out.weight"], s["out.bias"]) + image
    torch.testing.assert_close(network(image), expected, atol=1e-5, rtol=0)


def hand_count(width: int, num_blocks: int, side: int) -> tuple[int, int]:
    """Parameters and multiply-adds, layer by layer: (inputs, outputs, weights a pair, pixels that multiply)."""
    w, h, q = width, 2 * width, 4 * width
    layers = [(q, h, 4, (side // 4) ** 2), (h, w, 4, (side // 2) ** 2), (w, 3, 1, side**2)]
    for inputs, outputs, shrunk in ((3, w, 1), (w, h, 2), (h, q, 4), (2 * h, h, 2), (2 * w, w, 1)):
        layers += [(i, outputs, 9, (side // shrunk) ** 2) for i in (inputs, *(2 * num_blocks - 1) * (outputs,))]
    params = sum(inputs * outputs * weights + outputs for inputs, outputs, weights, _ in layers)
    return params, sum(inputs * outputs * weights * pixels for inputs, outputs, weights, pixels in layers)


@pytest.mark.parametrize(("width", "num_blocks"), [(8, 1), (5, 3)])
def test_parameters_and_macs_are_those_of_a_hand_count(width: int, num_blocks: int) -> None:
    network = build("unet", {"width": width, "num_blocks": num_blocks})
    assert (parameters(network), count_macs(network, (32, 32))[0]) == hand_count(width, num_blocks, 32)


@pytest.mark.parametrize(
    ("arguments", "sized_like"),
    [
        ({}, {}),
        ({"width": 19, "num_blocks": 4}, {"width": 16, "num_blocks": 4}),
        ({"width": 11, "num_blocks": 3}, {"width": 8, "num_blocks": 4}),
        ({"width": 13, "num_blocks": 5}, {"width": 16, "num_blocks": 2}),
    ],
)
def test_sizes_that_are_compared_with_mimo_unet_have_its_macs(
    arguments: dict[str, int], sized_like: dict[str, int]
) -> None:
    theirs, _ = count_macs(build("mimo-unet", sized_like), (32, 32))
    assert count_macs(build("unet", arguments), (32, 32))[0] == pytest.approx(theirs, rel=0.02)


@torch.no_grad()
def test_a_deep_stack_keeps_the_strength_of_its_signal() -> None:
    # He initialization keeps the mean square from layer to layer; torch's own divides it by six in each.
    torch.manual_seed(0)
    x = torch.randn(1, 64, 48, 48)
    assert 0.3 < DoubleConvolutions(64, 64, 3)(x).square().mean().item() < 3


@torch.no_grad()
def test_the_deployed_graph_takes_any_size() -> None:
    network = build("unet", {"width": 6, "num_blocks": 1}).eval()
    graph = deployed_graph(network, torch.zeros(1, 3, 32, 32))
    image = torch.rand(1, 3, 40, 24)
    torch.testing.assert_close(graph(image), network(image), atol=1e-6, rtol=0)
