"""Losses over the outputs of a restoration network; each returns its terms by name."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from baseline.data.loader import Batch

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


def multi_scale_terms(outputs: Sequence[Tensor], target: Tensor, frequency_weight: float) -> dict[str, Tensor]:
    """L1 and weighted frequency loss against one sharp picture, N,3,H,W, summed over the scales."""
    targets = [at_scale_of(target, output) for output in outputs]
    pairs = list(zip(outputs, targets, strict=True))
    terms = {"l1": torch.stack([F.l1_loss(output, scaled) for output, scaled in pairs]).sum()}
    if frequency_weight:
        frequency = torch.stack([frequency_l1(output, scaled) for output, scaled in pairs]).sum()
        terms["frequency"] = frequency_weight * frequency
    return terms


def supervised(frequency_weight: float) -> Loss:
    """The paper's loss: multi-scale L1 plus `frequency_weight` times the multi-scale frequency loss."""
    return lambda outputs, batch: multi_scale_terms(outputs, batch.sharp, frequency_weight)
