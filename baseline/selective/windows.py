"""Photographs and windows of them, blurred as real scenes are, for calibrating a choice and fitting the score."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baseline.bounded import BoundedRestorer
from baseline.data.blur import MAX_REACH, shake
from baseline.data.mixed import MILD_REACH, Mix, blur_parts
from baseline.data.partly import stay_sharp
from baseline.data.photos import PAIR_SIZE, load_photo
from baseline.data.pictures import Picture
from baseline.restorer import Restorer
from baseline.selective.scales import ALIGNED, SCALES, change_at
from baseline.selective.score import per_cell

_LEAST_REACH = 0.3
_KINDS = {"mixed": 0.6, "shaken": 0.25, "sharp": 0.15}
"""The share of the windows that are blurred in two parts, all over, or not at all."""
_MIXES = (Mix(50, 30, 20), Mix(20, 30, 50), Mix(80, 15, 5))
_MEMORY = 4_000_000_000
"""Bytes that a picture may take: enough for it to be restored whole."""
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


def photograph(photos: list[Path], number: int, seed: int) -> tuple[Picture, Picture]:
    """One of the photographs, cut to sides that are multiples of `ALIGNED`, blurred and sharp.

    In turn it is blurred in parts of three mixes, or all over, and each photograph in another way each time.
    """
    rng = np.random.default_rng([seed, number])
    photo = load_photo(photos[number % len(photos)])
    sharp = photo[: photo.shape[0] // ALIGNED * ALIGNED, : photo.shape[1] // ALIGNED * ALIGNED]
    way = (number + number // len(photos)) % (len(_MIXES) + 1)
    if way == len(_MIXES):
        return shake(sharp, rng, float(rng.uniform(MILD_REACH[0], MAX_REACH))), sharp
    return blur_parts(sharp, rng, _MIXES[way], bool(rng.integers(2))), sharp


def cell_errors(restorer: Restorer, blurred: Picture, sharp: Picture) -> NDArray[np.float32]:
    """The mean square errors of each cell, left alone and restored at each scale, in grey levels squared.

    Pictures H,W,3 of 8 bits, their sides multiples of `ALIGNED` -> 1+scales,h,w.
    """
    bounded = BoundedRestorer(restorer, _MEMORY)
    true = blurred.astype(np.float32) - sharp
    changed = [true, *(true + change_at(scale, bounded, blurred) for scale in SCALES)]
    return np.stack([per_cell(np.square(errors).mean(axis=2)) for errors in changed])
