"""Windows of photographs with what restoring them truly gains, cell by cell: to fit on, and to calibrate on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from baseline.data.blur import MAX_REACH, shake
from baseline.data.loader import to_tensor
from baseline.data.mixed import Mix, blur_parts
from baseline.data.partly import stay_sharp
from baseline.data.photos import PAIR_SIZE, load_photo
from baseline.data.pictures import Picture
from baseline.restorer import Restorer, restore_any_size
from baseline.selective.details import details, per_cell

LEAST_REACH = 0.3
_KINDS = {"mixed": 0.6, "shaken": 0.25, "sharp": 0.15}


@dataclass(frozen=True)
class Sample:
    """A window's details, 16,h,w, and the mean square error of its cells left alone, in full, at half scale: 3,h,w."""

    kind: str
    details: Tensor
    errors: Tensor


def samples(restorer: Restorer, photos: list[Path], count: int, seed: int) -> Iterator[Sample]:
    """So many windows, photograph by photograph in turn, restored in full and at half scale."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        kind, blurred, sharp = window(load_photo(photos[number % len(photos)]), rng)
        picture, true = to_tensor(blurred)[None], to_tensor(sharp)[None]
        outcomes = (picture, *restored_both(restorer, picture))
        errors = [per_cell((out.clamp(0, 1) - true).square().mean(dim=1, keepdim=True)) for out in outcomes]
        yield Sample(kind, details(picture)[0], torch.cat(errors, dim=1)[0])


def window(photo: Picture, rng: np.random.Generator) -> tuple[str, Picture, Picture]:
    """A window of a photograph: blurred in two parts, all over, or not at all; and as it was."""
    height, width = PAIR_SIZE
    top = int(rng.integers(photo.shape[0] - height + 1))
    left = int(rng.integers(photo.shape[1] - width + 1))
    sharp = photo[top : top + height, left : left + width]
    kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
    if kind == "mixed":
        severe, mild = (int(part) for part in rng.integers(5, 50, 2))
        blurred = blur_parts(sharp, rng, Mix(100 - severe - mild, mild, severe), bool(rng.integers(2)))
    elif kind == "shaken":
        blurred = shake(sharp, rng, float(rng.uniform(LEAST_REACH, MAX_REACH)))
    else:
        blurred = stay_sharp(sharp, rng, 0.0)
    return kind, blurred, sharp


def restored_both(restorer: Restorer, picture: Tensor) -> tuple[Tensor, Tensor]:
    """1,3,H,W of even sides restored in full, and with what half scale changes."""
    smaller = F.avg_pool2d(picture, 2)
    residual = restore_any_size(restorer, smaller).to(picture) - smaller
    half = picture + F.interpolate(residual, scale_factor=2, mode="bilinear")
    return restore_any_size(restorer, picture).to(picture), half
