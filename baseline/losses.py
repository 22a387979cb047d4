"""Losses over the outputs of a restoration network; each returns its terms by name."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

from baseline.data.loader import Batch
from baseline.settings import LossSettings

Loss = Callable[[Sequence[Tensor], Batch], dict[str, Tensor]]
"""(outputs from the coarsest scale to the finest, batch) -> named terms, whose sum is minimized."""


def at_scale_of(target: Tensor, output: Tensor) -> Tensor:
    """The target, bilinearly resized to the output's height and width as in the paper."""
    if target.shape[-2:] == output.shape[-2:]:
        return target
    return F.interpolate(target, size=output.shape[-2:], mode="bilinear", align_corners=False)


def frequency_l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of unnormalised 2-D Fourier transforms, real and imaginary parts (MSFR, MIMO-UNet)."""
    difference = torch.fft.fft2((output - target).float())
    return torch.view_as_real(difference).abs().mean()


def one_minus_ssim(output: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM with the Gaussian window 11x11, sigma 1.5, borders reflected; 0 for equal pictures."""
    similarity = structural_similarity_index_measure(output, target, data_range=1.0)
    return 1 - torch.as_tensor(similarity)


def negative_psnr(output: Tensor, target: Tensor) -> Tensor:
    """Minus the mean PSNR of the pictures in dB, not rounded (the loss of HINet and NAFNet)."""
    error = (output - target).square().mean(dim=(1, 2, 3))
    return (10 * torch.log10(error + 1e-8)).mean()


def charbonnier(output: Tensor, target: Tensor) -> Tensor:
    """Mean of sqrt(difference^2 + 1e-6): L1 that is smooth at 0 (Lai et al., CVPR 2017; epsilon 1e-3)."""
    return torch.sqrt((output - target).square() + 1e-6).mean()


TERMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "frequency": frequency_l1,
    "ssim": one_minus_ssim,
    "psnr": negative_psnr,
    "charbonnier": charbonnier,
}
"""The terms by name; `LossSettings` holds a weight for each."""


def multi_scale_terms(outputs: Sequence[Tensor], target: Tensor, settings: LossSettings) -> dict[str, Tensor]:
    """The weighted terms against one picture, N,3,H,W, shrunk to each output's scale."""
    return weighted_terms(outputs, [at_scale_of(target, output) for output in outputs], target.shape[-1], settings)


def weighted_terms(
    outputs: Sequence[Tensor], targets: Sequence[Tensor], full_width: int, settings: LossSettings
) -> dict[str, Tensor]:
    """Every term that has a weight, summed over the outputs with the weights of their scales."""
    pairs = list(zip(outputs, targets, strict=True))
    shares = [_scale_weight(output.shape[-1], full_width, settings.scales) for output in outputs]
    terms = {}
    for name, term in TERMS.items():
        weight = getattr(settings, name)
        if weight:
            values = [share * term(*pair) for share, pair in zip(shares, pairs, strict=True)]
            terms[name] = weight * torch.stack(values).sum()
    return terms


def _scale_weight(width: int, full_width: int, weights: Sequence[float]) -> float:
    """The weight of an output by how often its width is halved; the last weight holds for all that are coarser."""
    halvings = round(math.log2(full_width / width))
    return weights[min(max(halvings, 0), len(weights) - 1)]


def supervised(settings: LossSettings) -> Loss:
    """The loss against the sharp crops."""
    return lambda outputs, batch: multi_scale_terms(outputs, batch.sharp, settings)
