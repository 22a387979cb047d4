"""Windows of photographs, blurred as real scenes are, for fitting the score and for calibrating a choice."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from baseline.data.blur import MAX_REACH, shake
from baseline.data.mixed import Mix, blur_parts
from baseline.data.partly import stay_sharp
from baseline.data.photos import PAIR_SIZE, load_photo
from baseline.data.pictures import Picture
from baseline.restorer import Restorer, restore_any_size

_LEAST_REACH = 0.3
_KINDS = {"mixed": 0.6, "shaken": 0.25, "sharp": 0.15}
"""The share of the windows that are blurred in two parts, all over, or not at all."""
_MOST = 50
"""Per cent of a window that a part of it takes."""


def window(photos: list[Path], number: int, seed: int) -> tuple[str, Picture, Picture]:
    """The window of that number: its kind, and 384x512 pixels of a photograph blurred and sharp."""
    rng = np.random.default_rng([seed, number])
    photo = load_photo(photos[number % len(photos)])
    height, width = PAIR_SIZE
    top = int(rng.integers(photo.shape[0] - height + 1))
    left = int(rng.integers(photo.shape[1] - width + 1))
    sharp = photo[top : top + height, left : left + width]
    kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
    if kind == "mixed":
        severe, mild = (int(part) for part in rng.integers(5, _MOST, 2))
        blurred = blur_parts(sharp, rng, Mix(100 - severe - mild, mild, severe), bool(rng.integers(2)))
    elif kind == "shaken":
        blurred = shake(sharp, rng, float(rng.uniform(_LEAST_REACH, MAX_REACH)))
    else:
        blurred = stay_sharp(sharp, rng, 0.0)
    return kind, blurred, sharp


@torch.inference_mode()
def changes(restorer: Restorer, picture: Tensor) -> tuple[Tensor, Tensor]:
    """What restoring 1,3,H,W of even sides changes, in full and at half scale."""
    smaller = F.avg_pool2d(picture, 2)
    residual = restore_any_size(restorer, smaller).to(picture).clamp(0, 1) - smaller
    full = restore_any_size(restorer, picture).to(picture).clamp(0, 1) - picture
    return full, F.interpolate(residual, scale_factor=2, mode="bilinear")
