"""Quality of restored pictures. Every metric sees what a saved 8-bit picture would hold."""

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

_SSIM_BORDER = 5
"""Half of the 11x11 window: scikit-image leaves these pixels out, torchmetrics would average their padding in."""


def as_saved(image: Tensor) -> Tensor:
    """Clamped to 0..1 and rounded to 8 bits, in double precision."""
    return image.double().clamp(0, 1).mul(255).round().div(255)


def psnr(restored: Tensor, sharp: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each pair in dB; both N,3,H,W in 0..1, rounded to 8 bits as saved pictures are.

    Equal pictures count as 100 dB, so that means stay finite.
    """
    error = (as_saved(restored) - as_saved(sharp)).square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(error.clamp(min=1e-10))


def ssim(restored: Tensor, sharp: Tensor) -> Tensor:
    """Structural similarity of each pair, mean over channels; both N,3,H,W in 0..1, at least 11 pixels a side.

    Gaussian window 11x11, sigma 1.5, population statistics, as scikit-image computes it: single precision agrees with
    its double precision to 1e-5 and takes a fifteenth of the time.
    """
    _, full = structural_similarity_index_measure(
        as_saved(restored).float(), as_saved(sharp).float(), data_range=1.0, return_full_image=True, reduction="none"
    )
    inner: Tensor = full[..., _SSIM_BORDER:-_SSIM_BORDER, _SSIM_BORDER:-_SSIM_BORDER]
    return inner.mean(dim=(1, 2, 3))
