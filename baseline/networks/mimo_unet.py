"""MIMO-UNet and MIMO-UNet+ (Cho et al., ICCV 2021, arXiv 2108.05054), written from the paper.

Feature widths are C, 2C, 4C from the finest scale to the coarsest. There is no normalization anywhere.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.networks.convolutions import CONVOLUTIONS, ConvFactory


def resize(x: Tensor, scale: float) -> Tensor:
    """Nearest-neighbour resizing, as the paper's network does inside; N,C,H,W."""
    return F.interpolate(x, scale_factor=scale)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU between them, added to the input."""

    def __init__(self, channels: int, conv: ConvFactory) -> None:
        super().__init__()
        self.conv1 = conv(channels, channels, 3, 1)
        self.conv2 = conv(channels, channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(F.relu(self.conv1(x)))
        return out + x

    def begin_as_identity_(self) -> None:
        """Zero the last convolution, so that the block returns its input until it is trained."""
        *_, last = (module for module in self.conv2.modules() if isinstance(module, nn.Conv2d))
        for parameter in last.parameters():
            nn.init.zeros_(parameter)


class ShallowImageFeatures(nn.Module):
    """SCM: features of a shrunken image, joined with the image itself by a 1x1 convolution.

    The joining convolution of the paper reads `cat([image, features])`. Here it is written as the sum of its two parts,
    which is the same function with the same parameters: no image enters a concatenation, whose channel offset
    torch-pruning would lose (it sees no gradient history on the image), so pruning stays exact.
    """

    def __init__(self, channels: int, conv: ConvFactory) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv(3, channels // 4, 3, 1),
            nn.ReLU(),
            conv(channels // 4, channels // 2, 1, 1),
            nn.ReLU(),
            conv(channels // 2, channels // 2, 3, 1),
            nn.ReLU(),
            conv(channels // 2, channels - 3, 1, 1),
            nn.ReLU(),
        )
        self.join_image = nn.Conv2d(3, channels, 1, bias=False)
        self.join_features = nn.Conv2d(channels - 3, channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        joined: Tensor = self.join_features(self.features(image)) + self.join_image(image)
        return joined


class FeatureAttention(nn.Module):
    """FAM: encoder features, plus a 3x3 convolution of their product with the image's features."""

    def __init__(self, channels: int, conv: ConvFactory) -> None:
        super().__init__()
        self.merge = conv(channels, channels, 3, 1)

    def forward(self, encoded: Tensor, image_features: Tensor) -> Tensor:
        merged: Tensor = self.merge(encoded * image_features)
        return encoded + merged


class AsymmetricFusion(nn.Module):
    """AFF: all three encoder outputs, resized to one scale, through a 1x1 and a 3x3 convolution."""

    def __init__(self, width: int, channels: int, conv: ConvFactory) -> None:
        super().__init__()
        self.fuse = nn.Sequential(conv(7 * width, channels, 1, 1), nn.ReLU(), conv(channels, channels, 3, 1))

    def forward(self, full: Tensor, half: Tensor, quarter: Tensor) -> Tensor:
        fused: Tensor = self.fuse(torch.cat([full, half, quarter], dim=1))
        return fused


class MIMOUNet(nn.Module):
    """Multi-input multi-output U-Net for deblurring.

    N,3,H,W in 0..1 (RGB), H and W multiples of 4 -> three restored images at 1/4, 1/2 and full scale, the last being
    the answer. `width` 32 with 8 blocks is MIMO-UNet (6,807,171 parameters); with 20 blocks and `dropout` 0.1 it is
    MIMO-UNet+ (16,107,651). A subclass may name other blocks for SCM and FAM, made from (channels, conv).
    """

    size_multiple = 4
    image_block: type[nn.Module] = ShallowImageFeatures
    attention_block: type[nn.Module] = FeatureAttention

    def __init__(self, width: int = 32, num_blocks: int = 8, conv: str = "plain", dropout: float = 0.0) -> None:
        super().__init__()
        make = CONVOLUTIONS[conv]
        self.folded_arguments = {"conv": "plain"} if conv == "branched" else {}
        widths = (width, 2 * width, 4 * width)

        def block_stack(channels: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(channels, make) for _ in range(num_blocks)))

        self.head = make(3, width, 3, 1)
        self.encoder = nn.ModuleList(block_stack(w) for w in widths)
        self.down = nn.ModuleList([make(width, 2 * width, 3, 2), make(2 * width, 4 * width, 3, 2)])
        self.image_features = nn.ModuleList(self.image_block(w, make) for w in widths[1:])
        self.attention = nn.ModuleList(self.attention_block(w, make) for w in widths[1:])
        self.fusion = nn.ModuleList(AsymmetricFusion(width, w, make) for w in widths[:2])
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.decoder = nn.ModuleList(block_stack(w) for w in reversed(widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 4, 2, padding=1) for w in (2 * width, width))
        self.merge = nn.ModuleList(make(2 * w, w, 1, 1) for w in (2 * width, width))
        self.out = nn.ModuleList(nn.Conv2d(w, 3, 3, padding=1) for w in reversed(widths))

    def forward(self, image: Tensor) -> list[Tensor]:
        half_image = resize(image, 0.5)
        quarter_image = resize(half_image, 0.5)

        full = F.relu(self.head(image))
        full = self.encoder[0](full)
        half = F.relu(self.down[0](full))
        half = self.encoder[1](self.attention[0](half, self.image_features[0](half_image)))
        quarter = F.relu(self.down[1](half))
        quarter = self.encoder[2](self.attention[1](quarter, self.image_features[1](quarter_image)))

        half_of_quarter = resize(quarter, 2)
        skip_full = self.dropout(self.fusion[0](full, resize(half, 2), resize(half_of_quarter, 2)))
        skip_half = self.dropout(self.fusion[1](resize(full, 0.5), half, half_of_quarter))

        quarter = self.decoder[0](quarter)
        half = F.relu(self.up[0](quarter))
        half = self.decoder[1](F.relu(self.merge[0](torch.cat([half, skip_half], dim=1))))
        full = F.relu(self.up[1](half))
        full = self.decoder[2](F.relu(self.merge[1](torch.cat([full, skip_full], dim=1))))
        return [
            self.out[0](quarter) + quarter_image,
            self.out[1](half) + half_image,
            self.out[2](full) + image,
        ]
