"""Quality of restored pictures. Every metric sees what a saved 8-bit picture would hold."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

from baseline.lpips import perceptual_distance

_SSIM_BORDER = 5
"""Half of the 11x11 window: scikit-image leaves these pixels out, torchmetrics would average their padding in."""

_FLAT = 0.9
"""The share of the sharp picture's pixels that are no edge: those with the smaller gradients."""

_LARGEST_MEAN = 4.0
"""No picture in 0..1 averages over 1, and one in 0..255 averages about 100: between, a network overshoots."""


def as_saved(image: Tensor) -> Tensor:
    """Clamped to 0..1 and rounded to 8 bits, in double precision; a ValueError if this is no picture in 0..1."""
    reason = wrong_range(image)
    if reason is not None:
        raise ValueError(f"a picture to score must lie in 0..1; {reason}")
    return image.double().clamp(0, 1).mul(255).round().div(255)


def _truth(sharp: Tensor) -> Tensor:
    """The sharp picture as saved; a ValueError if a single value lies outside 0..1, as no decoded picture's does."""
    low, high = sharp.min().item(), sharp.max().item()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"a sharp picture must lie in 0..1; it reaches from {low:.3g} to {high:.3g}")
    return as_saved(sharp)


def wrong_range(image: Tensor) -> str | None:
    """Why this is no picture in 0..1, not even of a network that overshoots; None if it is one."""
    if not bool(image.isfinite().all()):
        return "it holds values that are not finite"
    mean = image.abs().mean().item()
    return f"its values average {mean:.3g}" if mean > _LARGEST_MEAN else None


def psnr(restored: Tensor, sharp: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each pair in dB; both N,3,H,W in 0..1, rounded to 8 bits as saved pictures are.

    Equal pictures count as 100 dB, so that means stay finite.
    """
    error = (as_saved(restored) - _truth(sharp)).square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(error.clamp(min=1e-10))


def ssim(restored: Tensor, sharp: Tensor) -> Tensor:
    """Structural similarity of each pair, mean over channels; both N,3,H,W in 0..1, at least 11 pixels a side.

    Gaussian window 11x11, sigma 1.5, population statistics, as scikit-image computes it: single precision agrees with
    its double precision to 1e-5 and takes a fifteenth of the time.
    """
    _, full = structural_similarity_index_measure(
        as_saved(restored).float(), _truth(sharp).float(), data_range=1.0, return_full_image=True, reduction="none"
    )
    inner: Tensor = full[..., _SSIM_BORDER:-_SSIM_BORDER, _SSIM_BORDER:-_SSIM_BORDER]
    return inner.mean(dim=(1, 2, 3))


def lpips(restored: Tensor, sharp: Tensor) -> Tensor:
    """The perceptual distance of each pair, 0 for equal pictures; both N,3,H,W in 0..1, at least 31 pixels a side."""
    return perceptual_distance(as_saved(restored).float(), _truth(sharp).float())


def edge_sharpness(restored: Tensor, sharp: Tensor) -> Tensor:
    """How steep the sharp picture's edges are in the restored one, 1 being as steep; both N,3,H,W in 0..1.

    The mean Sobel gradient of the luminance over the tenth of the pixels where the sharp picture's is largest, divided
    by the sharp picture's own mean there. Blind to what stands on the edges: noise and ringing are steep too.
    """
    ours, theirs = _gradient(as_saved(restored)), _gradient(_truth(sharp))
    # Of equal gradients all are edges: in stripes the tenth is one value, and above it there is nothing.
    smallest = theirs.kthvalue(int(_FLAT * theirs.shape[1]) + 1, dim=1, keepdim=True).values
    edges = (theirs >= smallest) & (theirs > 0)
    there = (theirs * edges).sum(dim=1)
    # A picture of one colour has no edges that could be lost.
    return torch.where(there > 0, (ours * edges).sum(dim=1) / there.clamp(min=1e-12), 1.0)


def _gradient(pictures: Tensor) -> Tensor:
    """The Sobel gradient's length at each inner pixel of the luminance (ITU-R 601): N,3,H,W -> N,(H-2)*(W-2)."""
    luminance = torch.einsum("nchw,c->nhw", pictures, pictures.new_tensor([0.299, 0.587, 0.114]))[:, None]
    across = pictures.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    slopes = F.conv2d(luminance, torch.stack([across, across.T])[:, None])
    # Equal gradients come out equal and flat parts 0; no change of 8-bit levels is as small.
    return slopes.square().sum(dim=1).sqrt().round(decimals=9).flatten(1)


QUALITY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "psnr_db": psnr,
    "ssim": ssim,
    "lpips": lpips,
    "edge_sharpness": edge_sharpness,
}
"""What a restored picture is scored by, under the keys of `baseline.measurement`."""
