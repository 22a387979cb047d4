"""LPIPS: how far apart two pictures look to people (Zhang et al., CVPR 2018, arXiv 1801.03924); AlexNet, v0.1."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

WEIGHTS = Path(__file__).parent / "shipped" / "lpips.safetensors"
"""AlexNet's five convolutions and the five heads in half precision, written by `baseline.lpips_weights`."""

_CONVOLUTIONS = ((4, 2, False), (1, 2, True), (1, 1, True), (1, 1, False), (1, 1, False))
"""Stride, padding, and whether the 3x3 maximum of stride 2 comes before."""

# Mean and deviation of ImageNet, for pictures in -1..1.
_SHIFT = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
_SCALE = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)


@torch.no_grad()
def perceptual_distance(first: Tensor, second: Tensor) -> Tensor:
    """The distance of each pair, 0 for equal pictures; both N,3,H,W in 0..1, float32, at least 31 pixels a side.

    At every tap: features of unit length at each pixel, squared differences weighted by the head, mean over pixels.
    """
    weights = lpips_weights()
    total = torch.zeros(len(first), device=first.device)
    for level, features in enumerate(_taps(torch.cat([first, second]), weights), 1):
        length = features.square().sum(dim=1, keepdim=True).sqrt()
        ours, theirs = (features / (length + 1e-10)).chunk(2)
        head = weights[f"head{level}"].to(first.device).view(1, -1, 1, 1)
        total += ((ours - theirs).square() * head).sum(dim=1).mean(dim=(1, 2))
    return total


@cache
def lpips_weights() -> dict[str, Tensor]:
    """The shipped weights by name, in single precision."""
    return {name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}


def _taps(pictures: Tensor, weights: dict[str, Tensor]) -> Iterator[Tensor]:
    """What AlexNet sees after each of its five ReLUs."""
    device = pictures.device
    features = (2 * pictures - 1 - _SHIFT.to(device)) / _SCALE.to(device)
    for number, (stride, padding, pooled) in enumerate(_CONVOLUTIONS, 1):
        if pooled:
            features = F.max_pool2d(features, kernel_size=3, stride=2)
        kernel, bias = weights[f"conv{number}.weight"].to(device), weights[f"conv{number}.bias"].to(device)
        features = F.relu(F.conv2d(features, kernel, bias, stride, padding))
        yield features
