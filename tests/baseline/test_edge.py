import pytest
import torch
from torch import nn

from baseline.errors import UserError
from baseline.networks.zoo import build
from compress.cost import count_macs, parameters


def conv(inputs: int, outputs: int) -> int:
    """Parameters of a 3x3 convolution with bias."""
    return 9 * inputs * outputs + outputs


def test_parameters_and_macs_are_those_counted_by_hand() -> None:
    w, n = 16, 2
    network = build("edge", {"width": w, "num_blocks": n, "conv": "plain"})
    half = conv(3, w) + 2 * n * 2 * conv(w, w) + conv(w, 12)
    quarter = conv(w, 2 * w) + 3 * n * 2 * conv(2 * w, 2 * w) + conv(2 * w, 4 * w)
    assert parameters(network) == half + quarter
    at_half = 9 * (3 * w + 4 * n * w * w + 12 * w) * 32 * 32
    at_quarter = 9 * (2 * w * w + 6 * n * 4 * w * w + 8 * w * w) * 16 * 16
    assert count_macs(network, (64, 64))[0] == at_half + at_quarter


def test_everything_in_it_is_a_convolution_that_integers_do() -> None:
    network = build("edge", {"conv": "plain"})
    kinds = {type(layer) for layer in network.modules() if next(layer.parameters(recurse=False), None) is not None}
    assert kinds == {nn.Conv2d}
    widths = {layer.out_channels for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)} - {12}
    assert all(width % 8 == 0 for width in widths)


def test_it_restores_any_size_of_its_multiple() -> None:
    picture = torch.rand(2, 3, 20, 36)
    assert build("edge", {"width": 8, "num_blocks": 1})(picture).shape == picture.shape


def test_widths_that_are_no_multiples_of_eight_are_refused() -> None:
    with pytest.raises(UserError, match=r"'edge' must be given a right width; got 12: Input should be a multiple of 8"):
        build("edge", {"width": 12})
