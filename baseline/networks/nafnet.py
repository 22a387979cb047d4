"""NAFNet (Chen et al., ECCV 2022, arXiv 2204.04676), written from the paper: a U-Net without activation functions.

The authors' code differs in this: it has four scales below the first, LayerNorm's epsilon is 1e-6 and not 1e-5, the 1x1
convolutions before a pixel shuffle have no biases, and pictures may be tested with averages over windows (TLC).
"""

import torch
from torch import Tensor, nn


class SimpleGate(nn.Module):
    """One half of the channels times the other: N,2C,H,W -> N,C,H,W. A module, so that its range is looked at."""

    def forward(self, x: Tensor) -> Tensor:
        one, other = x.chunk(2, dim=1)
        return one * other


class SimplifiedAttention(nn.Module):
    """SCA: each channel times a linear function of the averages of all."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.weigh(x.mean((2, 3), keepdim=True))
        return x * weights


class NAFBlock(nn.Module):
    """Two gated branches that begin at zero, each from normalized features and added to them: at first the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        double = 2 * channels
        self.norm1 = nn.LayerNorm(channels)
        self.mix = nn.Sequential(
            nn.Conv2d(channels, double, 1),
            nn.Conv2d(double, double, 3, padding=1, groups=double),
            SimpleGate(),
            SimplifiedAttention(channels),
            nn.Conv2d(channels, channels, 1),
        )
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.norm2 = nn.LayerNorm(channels)
        self.feed = nn.Sequential(nn.Conv2d(channels, double, 1), SimpleGate(), nn.Conv2d(channels, channels, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        # The scales stand on the right, where ONNX Runtime takes them into the convolutions before them.
        x = x + self.mix(over_channels(self.norm1, x)) * self.beta
        fed: Tensor = self.feed(over_channels(self.norm2, x)) * self.gamma
        return x + fed


def over_channels(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Each pixel of N,C,H,W normalized by itself.

    One operator, which every runtime has, and which sums in FP32 where the network is in FP16.
    """
    normalized: Tensor = norm(x.permute(0, 2, 3, 1))
    return normalized.permute(0, 3, 1, 2)


class NAFNet(nn.Module):
    """One scale in, one scale out: N,3,H,W in 0..1, H and W multiples of 4 -> the restored image.

    Feature widths are C, 2C, 4C as in MIMO-UNet, halved in size by 2x2 convolutions, doubled by a 1x1 convolution and a
    pixel shuffle; each skip is added. `num_blocks` counts the blocks of each of the five stages.
    """

    size_multiple = 4

    def __init__(self, width: int = 32, num_blocks: int = 8) -> None:
        super().__init__()
        full, half, quarter = width, 2 * width, 4 * width

        def block_stack(channels: int) -> nn.Sequential:
            return nn.Sequential(*(NAFBlock(channels) for _ in range(num_blocks)))

        self.head = nn.Conv2d(3, full, 3, padding=1)
        self.encoder = nn.ModuleList(block_stack(w) for w in (full, half, quarter))
        self.down = nn.ModuleList([nn.Conv2d(full, half, 2, 2), nn.Conv2d(half, quarter, 2, 2)])
        self.up = nn.ModuleList(nn.Sequential(nn.Conv2d(w, 2 * w, 1), nn.PixelShuffle(2)) for w in (quarter, half))
        self.decoder = nn.ModuleList(block_stack(w) for w in (half, full))
        self.out = nn.Conv2d(full, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        full = self.encoder[0](self.head(image))
        half = self.encoder[1](self.down[0](full))
        quarter = self.encoder[2](self.down[1](half))
        half = self.decoder[0](half + self.up[0](quarter))
        full = self.decoder[1](full + self.up[1](half))
        restored: Tensor = self.out(full) + image
        return restored
