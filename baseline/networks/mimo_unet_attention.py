"""MIMO-UNet with two parts exchanged: plainer features of each input image, and channel attention where they join.

Channel attention is that of squeeze-and-excitation (Hu et al., CVPR 2018, arXiv 1709.01507) with a reduction of 8.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.networks.convolutions import ConvFactory
from baseline.networks.mimo_unet import MIMOUNet

_REDUCTION = 8


class ConvolvedImage(nn.Sequential):
    """SCM: two 3x3 convolutions of a shrunken image, a ReLU after each."""

    def __init__(self, channels: int, conv: ConvFactory) -> None:
        super().__init__(conv(3, channels, 3, 1), nn.ReLU(), conv(channels, channels, 3, 1), nn.ReLU())


class ChannelAttention(nn.Module):
    """Each channel times a number between 0 and 1 that depends on the averages of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // _REDUCTION, 1)
        self.excite = nn.Conv2d(channels // _REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.excite(squeezed))


class ConcatenatedFusion(nn.Module):
    """FAM: encoder features and the image's features through one 1x1 convolution, then channel attention."""

    def __init__(self, channels: int, conv: ConvFactory) -> None:
        super().__init__()
        self.merge = conv(2 * channels, channels, 1, 1)
        self.attention = ChannelAttention(channels)

    def forward(self, encoded: Tensor, image_features: Tensor) -> Tensor:
        weighted: Tensor = self.attention(self.merge(torch.cat([encoded, image_features], dim=1)))
        return weighted


class AttentionMIMOUNet(MIMOUNet):
    """MIMO-UNet in which SCM is `ConvolvedImage` and FAM is `ConcatenatedFusion`; `width` is a multiple of 4."""

    image_block = ConvolvedImage
    attention_block = ConcatenatedFusion
