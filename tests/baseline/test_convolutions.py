import pytest
import torch
from torch import nn
from torch.nn import functional as F

from baseline.networks.convolutions import (
    CONVOLUTIONS,
    BranchedConv,
    Imitates,
    SeparableConv,
    ShuffledUp,
    branched_conv,
)

WIDTHS = [(6, 6, 1), (6, 10, 1), (6, 10, 2)]


def filled(layer: nn.Module) -> nn.Module:
    """The layer with random weights."""
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.data.normal_(generator=generator)
    return layer


@pytest.mark.parametrize(("inputs", "outputs", "stride"), WIDTHS)
def test_a_branched_convolution_is_the_sum_of_its_branches_and_folds_to_it(
    inputs: int, outputs: int, stride: int
) -> None:
    layer = BranchedConv(inputs, outputs, stride)
    filled(layer)
    x = torch.randn(2, inputs, 12, 16)
    w = dict(layer.named_parameters())
    branches = [
        F.conv2d(x, w["main.weight"], w["main.bias"], stride, 1),
        F.conv2d(x, w["point.weight"], None, stride),
        F.conv2d(F.conv2d(x, w["expand.weight"]), w["squeeze.weight"], None, stride, 1),
    ]
    if (inputs, stride) == (outputs, 1):
        branches.append(x)
    expected = torch.stack(branches).sum(0)
    torch.testing.assert_close(torch.stack(layer.branches(x)).sum(0), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer(x), expected, atol=1e-4, rtol=1e-5)
    folded = layer.folded()
    assert type(folded) is nn.Conv2d
    torch.testing.assert_close(folded(x), layer(x), atol=1e-5, rtol=1e-5)


def test_branches_begin_together_as_one_plain_convolution_does() -> None:
    torch.manual_seed(0)
    layer = BranchedConv(32, 32)
    # Uniform between -1 and 1 over the square root of the fan-in, as torch has it.
    bound = (9 * 32) ** -0.5
    kernel = layer.kernel().detach()
    assert kernel.abs().max().item() == pytest.approx(bound, rel=1e-2)
    assert kernel.std().item() == pytest.approx(bound / 3**0.5, rel=2e-2)


def test_every_branch_learns() -> None:
    layer = BranchedConv(4, 4)
    layer(torch.randn(1, 4, 8, 8)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in layer.parameters())


def test_only_3x3_convolutions_branch() -> None:
    assert type(branched_conv(4, 8, 1, 1)) is nn.Conv2d
    assert type(branched_conv(3, 8, 3, 2)) is BranchedConv


@pytest.mark.parametrize(("inputs", "outputs", "stride"), WIDTHS)
def test_a_branched_convolution_begins_as_any_plain_one(inputs: int, outputs: int, stride: int) -> None:
    plain = filled(nn.Conv2d(inputs, outputs, 3, stride, padding=1))
    layer = BranchedConv(inputs, outputs, stride)
    layer.imitate_(plain)
    x = torch.randn(1, inputs, 8, 8)
    torch.testing.assert_close(layer(x), plain(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("inputs", "outputs", "stride"), WIDTHS)
def test_a_separable_convolution_begins_as_the_plain_one_where_that_is_separable(
    inputs: int, outputs: int, stride: int
) -> None:
    plain = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
    depthwise, pointwise = torch.randn(inputs, 1, 3, 3), torch.randn(outputs, inputs, 1, 1)
    plain.weight.data = pointwise * depthwise.transpose(0, 1)
    layer = SeparableConv(inputs, outputs, 3, stride)
    layer.imitate_(plain)
    x = torch.randn(1, inputs, 8, 8)
    torch.testing.assert_close(layer(x), plain(x), atol=1e-4, rtol=1e-4)


def test_of_other_convolutions_a_separable_one_keeps_the_best_of_rank_one() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(5, 7, 3, padding=1)
    layer = SeparableConv(5, 7, 3, 1)
    layer.imitate_(plain)
    kept = layer[1].weight * layer[0].weight.transpose(0, 1)
    # Eckart and Young: what the best approximation leaves are the other singular values of each input's kernels.
    left = torch.linalg.svdvals(plain.weight.transpose(0, 1).flatten(2))[:, 1:].square().sum()
    torch.testing.assert_close((plain.weight - kept).square().sum(), left, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("conv", ["plain", "branched"])
def test_a_shuffled_convolution_begins_as_a_transposed_one_exactly(conv: str) -> None:
    transposed = filled(nn.ConvTranspose2d(6, 5, 4, stride=2, padding=1))
    layer = ShuffledUp(6, 5, CONVOLUTIONS[conv])
    x = torch.randn(2, 6, 7, 9)
    assert layer(x).shape == transposed(x).shape == (2, 5, 14, 18)
    layer.imitate_(transposed)
    torch.testing.assert_close(layer(x), transposed(x), atol=1e-4, rtol=1e-5)


def test_what_stands_for_another_layer_says_so() -> None:
    for layer in (BranchedConv(4, 4), SeparableConv(4, 4, 3, 1), ShuffledUp(4, 4)):
        assert isinstance(layer, Imitates)
    assert not isinstance(nn.Conv2d(4, 4, 3), Imitates)
