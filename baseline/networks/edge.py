"""A network for INT8 on phones and CPUs: 3x3 convolutions, ReLU, sums and pixel shuffles, which integers can do.

There is no transposed convolution, no product of features, no concatenation and no resize. Widths are multiples of 8.
It sees the picture from half scale on, where a convolution costs a quarter, and most of its layers work at a quarter.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from baseline.networks.convolutions import CONVOLUTIONS, ConvFactory, ShuffledUp
from baseline.networks.mimo_unet import ResidualBlock

_DEEP = 3
"""How many times as many blocks work at a quarter of the scale as in each of the two stages at half scale."""


class EdgeNet(nn.Module):
    """N,3,H,W in 0..1, H and W multiples of 4 -> the restored picture: one scale in, one scale out.

    Features have `width` channels at half scale and twice as many at a quarter. `num_blocks` residual blocks are in
    each stage at half scale, three times as many at a quarter.
    """

    size_multiple = 4

    def __init__(self, width: int = 16, num_blocks: int = 2, conv: str = "branched") -> None:
        super().__init__()
        make = CONVOLUTIONS[conv]
        self.folded_arguments = {"conv": "plain"} if conv == "branched" else {}
        self.head = make(3, width, 3, 2)
        self.encoder = _blocks(num_blocks, width, make)
        self.down = make(width, 2 * width, 3, 2)
        self.deep = _blocks(_DEEP * num_blocks, 2 * width, make)
        self.up = ShuffledUp(2 * width, width, make)
        self.decoder = _blocks(num_blocks, width, make)
        self.out = ShuffledUp(width, 3)

    def forward(self, image: Tensor) -> Tensor:
        half = self.encoder(F.relu(self.head(image)))
        quarter = self.deep(F.relu(self.down(half)))
        restored: Tensor = self.out(self.decoder(self.up(quarter) + half)) + image
        return restored


def _blocks(count: int, channels: int, make: ConvFactory) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels, make) for _ in range(count)))
