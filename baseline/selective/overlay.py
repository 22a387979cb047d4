"""Drawings of what was decided for a picture: where it was restored, and at which scale."""

from pathlib import Path

import cv2
import numpy as np

from baseline.data.pictures import Picture, write_picture
from baseline.data.stored import Pixels
from baseline.selective.choice import Decision
from baseline.selective.score import CELL

_COLOURS = ((230, 60, 30), (245, 140, 40), (250, 215, 60))
"""Red where restored in full, orange at three quarters, yellow at half scale; what was left alone keeps its own."""
_TINT = 0.45
_LONGEST = 1600
"""Pixels: a larger picture is drawn smaller."""


def drawn(pixels: Pixels, decision: Decision) -> Picture:
    """H,W,3 or H,W,1 of 8 or 16 bits -> the decision over the picture, in 8 bits."""
    scale = min(1.0, _LONGEST / max(pixels.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA).reshape(height, width, -1)
    levels = small.astype(np.float32) * (255 / np.iinfo(pixels.dtype).max)
    rows, columns = (((np.arange(side) + 0.5) / scale / CELL).astype(int) for side in (height, width))
    rows, columns = (
        np.minimum(at, count - 1) for at, count in zip((rows, columns), decision.treatment.shape, strict=True)
    )
    treatment = decision.treatment[np.ix_(rows, columns)]
    picture = np.repeat(levels, 3, axis=2) if levels.shape[2] == 1 else levels
    for place, colour in enumerate(_COLOURS, 1):
        picture[treatment == place] = (1 - _TINT) * picture[treatment == place] + _TINT * np.array(colour, np.float32)
    return np.rint(picture).astype(np.uint8)


def write_drawing(pixels: Pixels, decision: Decision, path: Path) -> None:
    """Write the decision over the picture to a file, in a folder that is made if it must be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(drawn(pixels, decision), path)
