from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.restorer import Finest
from compress.cost import cost, count_macs, deployed_params, parameters
from compress.products import FFT_FORMULA

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


class Product(nn.Module):
    """Adds to its image what a function makes of 8 channels of it, and of its N,pixels,8."""

    def __init__(self, function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(8, 8, 3, 3))
        self.function = function

    def forward(self, image: Tensor) -> Tensor:
        grid = image.repeat(1, 3, 1, 1)[:, :8]
        return image + self.weight.sum() + self.function(grid, grid.flatten(2).transpose(1, 2), self.weight).real.sum()


class OwnBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, image: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(image, weight, padding=1)


PIXELS = 8 * 16
PAIRS = PIXELS * PIXELS * 8
CONVOLVED = PIXELS * 8 * 8 * 9
SPECTRUM = 8 * (
    8 * 1.25 * 16 * 4 + 9 * 2.5 * 8 * 3
)  # 8 channels: 8 rows of 16 real numbers, 9 columns of 8 complex ones


@pytest.mark.parametrize(
    ("product", "macs"),
    [
        (lambda x, q, w: q @ q.mT, PAIRS),
        (lambda x, q, w: torch.bmm(q, q.mT), PAIRS),
        (lambda x, q, w: torch.einsum("bnc,bmc->bnm", q, q), PAIRS),
        (lambda x, q, w: torch.einsum("b...c, bmc -> bm...", q, q), PAIRS),
        (lambda x, q, w: torch.baddbmm(torch.zeros(1), q, q.mT), PAIRS),
        (lambda x, q, w: torch.addbmm(torch.zeros(1), q, q.mT), PAIRS),
        (lambda x, q, w: torch.addmm(torch.zeros(1), q[0], q[0].mT), PAIRS),
        (lambda x, q, w: torch.tensordot(q, q, dims=([2], [2])), PAIRS),
        (lambda x, q, w: torch.inner(q, q), PAIRS),
        (lambda x, q, w: F.linear(q, q[0]), PAIRS),
        (lambda x, q, w: q[0] @ q.mT.expand(5, 8, PIXELS), 5 * PAIRS),
        (lambda x, q, w: q.to(torch.complex64) @ q.mT.to(torch.complex64), 4 * PAIRS),
        (lambda x, q, w: F.scaled_dot_product_attention(q, q, q), 2 * PAIRS),
        (lambda x, q, w: torch.softmax(q @ q.mT * 8**-0.5, -1) @ q, 2 * PAIRS),
        (lambda x, q, w: torch.mv(q[0], q[0, 0]), PIXELS * 8),
        (lambda x, q, w: q[0, 0] @ q.mT, PIXELS * 8),
        (lambda x, q, w: F.conv2d(x, w, padding=1), CONVOLVED),
        (lambda x, q, w: F.conv2d(x, w, padding="same"), CONVOLVED),
        (lambda x, q, w: F.conv_transpose2d(x, w, padding=1), CONVOLVED),
        (lambda x, q, w: torch.convolution(x, w, None, (1, 1), (1, 1), (1, 1), False, (0, 0), 1), CONVOLVED),
        (lambda x, q, w: w.flatten(1) @ F.unfold(x, 3, padding=1), CONVOLVED),
        (lambda x, q, w: OwnBackward.apply(x, w), CONVOLVED),
        (lambda x, q, w: torch.fft.rfft2(x), SPECTRUM),
        (lambda x, q, w: torch.fft.fft(torch.fft.rfft(x, dim=-1), dim=-2), SPECTRUM),
        (lambda x, q, w: torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[-2:]), 2 * SPECTRUM),
        (lambda x, q, w: torch.fft.fft2(x), 8 * 2.5 * PIXELS * 7),
    ],
)
def test_a_product_counts_the_same_in_every_spelling(
    product: Callable[[Tensor, Tensor, Tensor], Tensor], macs: float
) -> None:
    assert count_macs(Product(product), (8, 16))[0] == macs


def test_attention_of_torch_counts_its_projections_and_products() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    network = Product(lambda x, q, w: attention(q, q, q)[0]).eval()
    network.attention = attention
    assert count_macs(network, (8, 16))[0] == 4 * PIXELS * 8 * 8 + 2 * PAIRS


def test_products_that_are_not_known_are_named() -> None:
    product = Product(lambda x, q, w: torch.cdist(q, q) + torch.einsum("bnc,bnc->bnc", q, q).sum())
    _, uncounted = count_macs(product, (8, 16))
    assert uncounted["aten::cdist"] == uncounted["aten::einsum"] == 1


def test_ffts_are_counted_by_a_formula_that_is_stated() -> None:
    assert cost(Product(lambda x, q, w: torch.fft.rfft2(x)), (8, 16)).formulas == (FFT_FORMULA,)
    assert cost(Product(lambda x, q, w: q), (8, 16)).formulas == ()


class ByBrightness(nn.Module):
    """A layer for dark images and another for the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.dark, self.usual = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return image + (self.dark(image) if image.mean() < 0.3 else self.usual(image))


def test_it_is_said_which_layers_count_where_the_image_chooses() -> None:
    counted = cost(ByBrightness(), (8, 16))
    assert counted.macs == 8 * 16 * 9
    said = "a black image, with dark, without usual, for the network chooses layers by the image"
    assert counted.formulas == (said,)
    assert cost(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()), (8, 16)).formulas == ()
