import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.networks.nafnet import NAFBlock, NAFNet, SimpleGate, over_channels
from baseline.networks.zoo import build
from compress.cost import count_macs, parameters
from compress.graph import deployed_graph

SCALES = {"beta", "gamma"}


def scales_of(network: nn.Module) -> list[nn.Parameter]:
    """Every block's two scales, with which it begins as the identity."""
    return [p for name, p in network.named_parameters() if name.rpartition(".")[2] in SCALES]


def alive(width: int = 6, num_blocks: int = 1) -> nn.Module:
    """A network whose blocks do something, each parameter another."""
    torch.manual_seed(0)
    network = build("nafnet", {"width": width, "num_blocks": num_blocks})
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


def normalized(x: Tensor, s: dict[str, Tensor], name: str) -> Tensor:
    mean, variance = x.mean(1, keepdim=True), x.var(1, correction=0, keepdim=True)
    x = (x - mean) / (variance + 1e-5).sqrt()
    return x * s[f"{name}.weight"][:, None, None] + s[f"{name}.bias"][:, None, None]


def pointwise(x: Tensor, s: dict[str, Tensor], name: str) -> Tensor:
    return torch.einsum("nihw,oi->nohw", x, s[f"{name}.weight"][..., 0, 0]) + s[f"{name}.bias"][:, None, None]


def block(x: Tensor, s: dict[str, Tensor], name: str) -> Tensor:
    wide = pointwise(normalized(x, s, f"{name}.norm1"), s, f"{name}.mix.0")
    depthwise = f"{name}.mix.1"
    wide = F.conv2d(wide, s[f"{depthwise}.weight"], s[f"{depthwise}.bias"], padding=1, groups=wide.shape[1])
    width = x.shape[1]
    gated = wide[:, :width] * wide[:, width:]
    gated = gated * pointwise(gated.mean((2, 3), keepdim=True), s, f"{name}.mix.3.weigh")
    x = x + s[f"{name}.beta"] * pointwise(gated, s, f"{name}.mix.4")
    wide = pointwise(normalized(x, s, f"{name}.norm2"), s, f"{name}.feed.0")
    return x + s[f"{name}.gamma"] * pointwise(wide[:, :width] * wide[:, width:], s, f"{name}.feed.2")


def doubled(x: Tensor, s: dict[str, Tensor], name: str) -> Tensor:
    # Of each four channels one is a pixel's upper left, upper right, lower left and lower right.
    quarters = pointwise(x, s, name).unflatten(1, (-1, 2, 2))
    return torch.einsum("ncabhw->nchawb", quarters).flatten(4).flatten(2, 3)


@torch.no_grad()
@pytest.mark.parametrize("num_blocks", [1, 2])
def test_the_network_is_its_straight_line(num_blocks: int) -> None:
    network = alive(6, num_blocks)
    s = network.state_dict()
    image = torch.rand(2, 3, 16, 24)

    def stage(x: Tensor, name: str) -> Tensor:
        for i in range(num_blocks):
            x = block(x, s, f"{name}.{i}")
        return x

    def halved(x: Tensor, name: str) -> Tensor:
        patches = x.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))
        return torch.einsum("nihawb,oiab->nohw", patches, s[f"{name}.weight"]) + s[f"{name}.bias"][:, None, None]

    full = stage(F.conv2d(image, s["head.weight"], s["head.bias"], padding=1), "encoder.0")
    half = stage(halved(full, "down.0"), "encoder.1")
    quarter = stage(halved(half, "down.1"), "encoder.2")
    half = stage(half + doubled(quarter, s, "up.0.0"), "decoder.0")
    full = stage(full + doubled(half, s, "up.1.0"), "decoder.1")
    expected = F.conv2d(full, s["out.weight"], s["out.bias"], padding=1) + image
    torch.testing.assert_close(network(image), expected, atol=1e-5, rtol=1e-5)


def hand_count(w: int, num_blocks: int, side: int) -> tuple[int, int]:
    """Parameters, and multiply-adds of a picture of side x side.

    A block of c channels has 1x1 convolutions of 2 + 1 + 1 and 2 + 1 times c inputs and c outputs, 3x3 weights for each
    of 2c channels, and for every channel 2 + 2 + 1 + 1 and 2 + 1 biases, two norms of two numbers and two scales. The
    attention's convolution multiplies once a picture, all else at every pixel.
    """
    stages = [(w, 1), (2 * w, 2), (4 * w, 4), (2 * w, 2), (w, 1)]
    params = num_blocks * sum(7 * c * c + (2 * 9 + 9 + 4 + 2) * c for c, _ in stages)
    macs = num_blocks * sum((6 * c * c + 2 * 9 * c) * (side // n) ** 2 + c * c for c, n in stages)
    # Inputs, outputs, weights a pair, and by what their output is shrunk: head and out, down, up.
    layers = [(3, w, 9, 1), (w, 3, 9, 1), (w, 2 * w, 4, 2), (2 * w, 4 * w, 4, 4)]
    layers += [(4 * w, 8 * w, 1, 4), (2 * w, 4 * w, 1, 2)]
    params += sum(i * o * weights + o for i, o, weights, _ in layers)
    return params, macs + sum(i * o * weights * (side // n) ** 2 for i, o, weights, n in layers)


@pytest.mark.parametrize(("width", "num_blocks"), [(8, 1), (5, 3)])
def test_parameters_and_macs_are_those_of_a_hand_count(width: int, num_blocks: int) -> None:
    network = build("nafnet", {"width": width, "num_blocks": num_blocks})
    macs, uncounted = count_macs(network, (32, 32))
    assert (parameters(network), macs) == hand_count(width, num_blocks, 32)
    # Norms, products (gate, attention, scale; gate, scale) and averages cost something, too.
    blocks = 5 * num_blocks
    named = {"layer_norm": 2 * blocks, "mul": 5 * blocks, "mean": blocks, "add": 2 * blocks + 3, "pixel_shuffle": 2}
    assert uncounted == {f"aten::{name}": count for name, count in named.items()}


@torch.no_grad()
def test_blocks_begin_as_the_identity() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 5, 7)
    assert torch.equal(NAFBlock(6)(x), x)
    network = build("nafnet", {"width": 6, "num_blocks": 2})
    assert len(scales_of(network)) == 2 * 5 * 2
    assert not any(scale.any() for scale in scales_of(network))


def test_after_one_step_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network = build("nafnet", {"width": 4, "num_blocks": 2})
    image, sharp = torch.rand(2, 2, 3, 16, 16)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)

    def learn() -> None:
        optimizer.zero_grad()
        F.l1_loss(network(image), sharp).backward()
        optimizer.step()

    learn()
    inner = [p.grad for name, p in network.named_parameters() if ".mix." in name or ".feed." in name]
    assert not any(gradient.any() for gradient in inner)  # behind scales of zero
    assert all(scale.grad.all() for scale in scales_of(network))
    learn()
    assert [name for name, p in network.named_parameters() if not p.grad.any()] == []


@torch.no_grad()
def test_each_pixel_is_normalized_by_itself() -> None:
    torch.manual_seed(0)
    norm = nn.LayerNorm(6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = 3 + 2 * torch.randn(2, 6, 5, 7)
    pixels = torch.stack([F.layer_norm(p, (6,), norm.weight, norm.bias) for p in x.permute(0, 2, 3, 1).flatten(0, 2)])
    expected = pixels.unflatten(0, (2, 5, 7)).permute(0, 3, 1, 2)
    torch.testing.assert_close(over_channels(norm, x), expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_half_precision_sums_what_it_cannot_hold() -> None:
    norm = nn.LayerNorm(64).half()
    x = 500 * torch.randn(1, 64, 3, 3, generator=torch.Generator().manual_seed(0))
    assert x.square().sum(1).max() > torch.finfo(torch.float16).max
    torch.testing.assert_close(
        over_channels(norm, x.half()).float(), over_channels(nn.LayerNorm(64), x), atol=5e-3, rtol=0
    )


def test_a_gate_multiplies_halves() -> None:
    x = torch.arange(8.0).view(1, 4, 1, 2)
    assert SimpleGate()(x).flatten().tolist() == [0 * 4, 1 * 5, 2 * 6, 3 * 7]


@torch.no_grad()
@pytest.mark.parametrize("size", [(20, 28), (4, 12)])
def test_sizes_are_multiples_of_what_it_states(size: tuple[int, int]) -> None:
    network = alive()
    assert (NAFNet.size_multiple, network(torch.rand(1, 3, *size)).shape) == (4, (1, 3, *size))
    with pytest.raises(RuntimeError, match="must match the size"):
        network(torch.rand(1, 3, size[0] + 2, size[1]))


@torch.no_grad()
def test_the_deployed_graph_takes_any_size() -> None:
    network = alive()
    graph = deployed_graph(network, torch.zeros(1, 3, 32, 32))
    image = torch.rand(1, 3, 40, 24)
    torch.testing.assert_close(graph(image), network(image), atol=1e-5, rtol=0)
