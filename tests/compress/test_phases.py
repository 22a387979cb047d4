import pytest
import torch
from torch import nn

from compress.phases import PhaseConv, without_transposed


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "output_padding"),
    [(4, 2, 1, 0), (2, 2, 0, 0), (3, 2, 1, 1), (3, 3, 0, 0), (5, 2, 2, 1), ((4, 3), 2, (1, 0), (0, 0)), (3, 1, 1, 0)],
)
@pytest.mark.parametrize("bias", [True, False])
def test_the_phases_are_the_transposed_convolution(kernel, stride, padding, output_padding, bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(3, 5, kernel, stride, padding, output_padding, bias=bias).double()
    features = torch.randn(2, 3, 6, 9, dtype=torch.double)
    replaced = without_transposed(nn.Sequential(layer))
    assert isinstance(replaced[0], PhaseConv)
    torch.testing.assert_close(replaced(features), layer(features), atol=1e-12, rtol=0)


@pytest.mark.parametrize("options", [{"groups": 2}, {"dilation": 2}, {"stride": (2, 1)}])
def test_what_would_not_be_exact_stays(options) -> None:
    layer = nn.ConvTranspose2d(4, 4, 4, **({"stride": 2, "padding": 1} | options))
    assert type(without_transposed(nn.Sequential(layer))[0]) is nn.ConvTranspose2d


@pytest.mark.parametrize(
    ("kernel", "padding", "size"), [(3, 1, (11, 17)), (3, 1, (12, 18)), (2, 0, (13, 18)), (2, 0, (12, 19))]
)
def test_the_caller_may_choose_the_size(kernel: int, padding: int, size: tuple[int, int]) -> None:
    layer = nn.ConvTranspose2d(3, 5, kernel, stride=2, padding=padding).double()
    features = torch.randn(1, 3, 6, 9, dtype=torch.double)
    replaced = without_transposed(nn.ModuleList([layer]))[0]
    assert isinstance(replaced, PhaseConv)
    expected = layer(features, output_size=list(size))
    torch.testing.assert_close(replaced(features, output_size=list(size)), expected, atol=1e-12, rtol=0)
