from collections.abc import Callable

import pytest
import torch
from torch import nn

from baseline.restorer import Finest
from compress.cost import cost, count_macs, deployed_params, parameters

Tiny = Callable[..., nn.Module]


@pytest.mark.parametrize("width", [8, 16])
def test_outputs_that_are_only_trained_on_do_not_count(tiny: Tiny, width: int) -> None:
    network = tiny(width=width)
    counted = cost(network, (32, 32))
    whole = sum(p.numel() for p in network.parameters())
    coarse_outputs = sum(9 * 3 * channels + 3 for channels in (4 * width, 2 * width))
    assert counted.params == whole - coarse_outputs
    assert counted.training_params == parameters(network) == whole


def test_a_frozen_layer_counts(tiny: Tiny) -> None:
    network = tiny()
    before = deployed_params(network)
    network.head.requires_grad_(False)
    assert deployed_params(network) == before


@pytest.mark.parametrize(
    ("layers", "macs"),
    [
        # Output pixels x output channels x input channels a group x kernel.
        ([nn.Conv2d(3, 5, 3, 2, padding=1)], 16 * 24 * 5 * 3 * 9),
        ([nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1, groups=6)], 32 * 48 * (6 * 27 + 6 * 9)),
        ([nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 3, 5, padding=2)], 32 * 48 * (8 * 3 + 3 * 8 * 25)),
        (
            [nn.Conv2d(3, 8, 3, padding="same"), nn.Conv2d(8, 3, 5, padding="valid")],
            32 * 48 * 8 * 27 + 28 * 44 * 3 * 200,
        ),
        # A transposed convolution multiplies once for each of its input pixels.
        ([nn.ConvTranspose2d(3, 4, 4, 2, padding=1)], 32 * 48 * 3 * 4 * 16),
    ],
)
def test_macs_are_those_of_the_formula(layers: list[nn.Module], macs: int) -> None:
    counted, _ = count_macs(nn.Sequential(*layers), (32, 48))
    assert counted == macs


def test_what_is_not_counted_is_named(tiny: Tiny) -> None:
    uncounted = cost(tiny(), (32, 32)).uncounted
    assert uncounted["aten::mul"] == 2  # one product in each of two attention modules
    assert "aten::add" in uncounted


def test_macs_grow_with_the_pixels(tiny: Tiny) -> None:
    network = tiny()
    assert count_macs(network, (64, 96))[0] == 6 * count_macs(network, (32, 32))[0]


def test_counting_leaves_the_network_as_it_was(tiny: Tiny) -> None:
    network = tiny()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    cost(network, (32, 32))
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
    assert parameters(Finest(network)) == parameters(network)
