"""The classic U-Net (Ronneberger et al., MICCAI 2015, arXiv 1505.04597) zero-padded, residual to the image."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DoubleConvolutions(nn.Sequential):
    """`count` pairs of 3x3 convolutions, a ReLU after each convolution; the first changes the number of channels."""

    def __init__(self, in_channels: int, out_channels: int, count: int) -> None:
        layers: list[nn.Module] = []
        for inputs in (in_channels, *(2 * count - 1) * (out_channels,)):
            layers += [nn.Conv2d(inputs, out_channels, 3, padding=1), nn.ReLU()]
        super().__init__(*layers)
        # He initialization as in the paper: without normalization or residual blocks, deep stacks need it.
        for parameter in self.parameters():
            if parameter.dim() == 1:
                nn.init.zeros_(parameter)
            else:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")


class UNet(nn.Module):
    """One scale in, one scale out: N,3,H,W in 0..1, H and W multiples of 4 -> the restored image.

    Feature widths are C, 2C, 4C as in MIMO-UNet, halved in size by max pooling, doubled by 2x2 transposed convolutions;
    each skip is concatenated as it is. `num_blocks` counts the double convolutions of each of the five stages.
    """

    size_multiple = 4

    def __init__(self, width: int = 39, num_blocks: int = 7) -> None:
        super().__init__()
        full, half, quarter = width, 2 * width, 4 * width
        self.encoder = nn.ModuleList(
            DoubleConvolutions(inputs, outputs, num_blocks)
            for inputs, outputs in ((3, full), (full, half), (half, quarter))
        )
        self.up = nn.ModuleList([nn.ConvTranspose2d(quarter, half, 2, 2), nn.ConvTranspose2d(half, full, 2, 2)])
        self.decoder = nn.ModuleList(
            DoubleConvolutions(inputs, outputs, num_blocks) for inputs, outputs in ((2 * half, half), (2 * full, full))
        )
        self.out = nn.Conv2d(full, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        full = self.encoder[0](image)
        half = self.encoder[1](F.max_pool2d(full, 2))
        quarter = self.encoder[2](F.max_pool2d(half, 2))
        half = self.decoder[0](torch.cat([half, self.up[0](quarter)], dim=1))
        full = self.decoder[1](torch.cat([full, self.up[1](half)], dim=1))
        restored: Tensor = self.out(full) + image
        return restored
