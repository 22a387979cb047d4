import pytest
import torch
from torch import Tensor, nn

from baseline.networks.zoo import build
from compress.channels import Channels, removed
from compress.cost import cost
from compress.pricing import PricedNetwork, elements_price, macs_price, params_price


def priced_with_widths(name: str, options: dict[str, str], seed: int) -> tuple[PricedNetwork, dict[str, int]]:
    torch.manual_seed(seed)
    network = build(name, {"width": 8, "num_blocks": 1} | options).eval()
    priced = PricedNetwork(network, Channels(network), (32, 48))
    groups = [group for group in priced.channels.groups.values() if not group.feeds_output]
    return priced, {group.name: int(torch.randint(1, group.channels + 1, ())) for group in groups}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("name", "options"),
    [("mimo-unet", {}), ("mimo-unet", {"conv": "separable"}), ("mimo-unet-attention", {}), ("unet", {})],
)
def test_the_predicted_cost_is_that_of_the_pruned_network(name: str, options: dict[str, str], seed: int) -> None:
    priced, widths = priced_with_widths(name, options, seed)
    torch.manual_seed(seed)
    network = build(name, {"width": 8, "num_blocks": 1} | options).eval()
    channels = Channels(network)
    for kept in ({}, widths):
        removal = {group: list(range(channels.groups[group].channels - n)) for group, n in kept.items()}
        counted = cost(removed(network, channels, removal), (32, 48))
        assert priced.total(kept, params_price) == pytest.approx(counted.params, abs=1e-6)
        assert priced.total(kept, macs_price) + priced.macs_elsewhere == pytest.approx(counted.macs, rel=1e-12)


def test_channels_that_come_in_twice_are_priced_twice() -> None:
    class Doubles(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.out = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(16, 3, 3, padding=1)

        def forward(self, image: Tensor) -> Tensor:
            features = self.head(image)
            return self.out(torch.cat([features.relu(), features.tanh()], dim=1))

    network = Doubles()
    priced = PricedNetwork(network, Channels(network), (32, 48))
    # 5 of 8 channels from 3 of the image by 3x3, and 10 of 16 to 3.
    assert priced.total({"head": 5}, params_price) == 5 * (27 + 1) + 10 * 27 + 3


class Own(nn.Module):
    """A block with a parameter of its own, called by keyword, that returns two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(8, 8, 3, padding=1)
        self.beta = nn.Parameter(torch.ones(1, 8, 1, 1))

    def forward(self, *, features: Tensor) -> tuple[Tensor, Tensor]:
        return features, self.inner(features) * self.beta


def test_blocks_of_other_habits_are_priced() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.block, self.out = nn.Conv2d(3, 8, 1), Own(), nn.Conv2d(8, 3, 1)

        def forward(self, image: Tensor) -> Tensor:
            features, refined = self.block(features=self.head(image))
            return self.out(features + refined)

    network = Network()
    channels = Channels(network)
    counted = cost(removed(network, channels, {"head": [0, 1, 2]}), (32, 48))
    priced = PricedNetwork(network, channels, (32, 48))
    assert priced.total({"head": 5}, macs_price) + priced.macs_elsewhere == counted.macs
    assert priced.total({"head": 5}, params_price) == counted.params


class Tokens(nn.Module):
    """A convolution over all pixels in one row, and a norm of them, between convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.row, self.norm = nn.Conv2d(3, 8, 1), nn.Conv1d(8, 6, 3, padding=1), nn.BatchNorm1d(6)
        self.out = nn.Conv2d(6, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        row = self.norm(self.row(self.head(image).flatten(2)))
        return self.out(row.unflatten(2, image.shape[-2:]))


def test_a_convolution_over_a_row_is_priced_by_its_channels() -> None:
    priced = PricedNetwork(network := Tokens(), Channels(network), (32, 48))
    # 5 of the 8 channels from 3, then 5 to 6 by 3, the norm, and 6 to 3.
    params = 5 * (3 + 1) + 6 * (5 * 3 + 1) + 6 * 2 + 3 * (6 + 1)
    assert priced.total({"head": 5}, params_price) + priced.params_elsewhere == params
    macs = (5 * 3 + 6 * 5 * 3 + 3 * 6) * 32 * 48
    assert priced.total({"head": 5}, macs_price) + priced.macs_elsewhere == macs


def test_a_layer_is_priced_by_both_of_its_sides() -> None:
    priced, _ = priced_with_widths("mimo-unet", {}, 0)
    # Of `merge.1`, 1x1 from 16 to 8 channels at full size: 8 come from what is decoded, 8 from the skip.
    layer = priced.layers["merge.1"]
    assert (layer.in_channels, layer.out_channels, layer.output_grid) == (16, 8, (32, 48))
    assert params_price(layer, 10, 6) == 10 * 6 + 6
    assert macs_price(layer, 10, 6) == 10 * 6 * 32 * 48
    assert elements_price(layer, 10, 6) == 6 * 32 * 48
    # A transposed convolution multiplies for each pixel that comes in.
    up = priced.layers["up.1"]
    assert macs_price(up, 16, 8) == 16 * 8 * 4 * 4 * 16 * 24


def test_a_depthwise_layer_has_one_width() -> None:
    priced, _ = priced_with_widths("mimo-unet", {"conv": "separable"}, 0)
    depthwise = priced.layers["encoder.0.0.conv1.0"]
    assert depthwise.single
    assert params_price(depthwise, 5, 5) == 9 * 5
    assert macs_price(depthwise, 5, 5) == 9 * 5 * 32 * 48


def test_outputs_that_are_only_trained_on_have_no_price() -> None:
    priced, _ = priced_with_widths("mimo-unet", {}, 0)
    assert "out.2" in priced.layers
    assert not {"out.0", "out.1"} & priced.layers.keys()
