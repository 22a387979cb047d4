"""Drawings of what a selective restorer decided: where it restored in full, where at half scale."""

from pathlib import Path

import cv2
import numpy as np

from baseline.blur_score import CELL
from baseline.data.picture_files import Pixels
from baseline.data.pictures import write_picture
from baseline.selective import FULL, HALF, Decision, SelectiveRestorer
from baseline.tiles import Window

_COLOURS = {FULL: (230, 60, 30), HALF: (250, 200, 40)}
"""Red where restored in full, yellow where at half scale; what was left alone keeps its colours."""
_TINT = 0.45
_LONGEST = 1600


class Overlay:
    """Collects what was decided for the tiles of a picture, and draws it over that."""

    def __init__(self, selective: SelectiveRestorer, out: Path, folder: Path) -> None:
        self._selective = selective
        self._out = out
        self._folder = folder
        self._decided: list[tuple[Window, Decision]] = []

    def watch(self, window: Window) -> None:
        """A tile has been restored."""
        if self._selective.last is not None:
            self._decided.append((window, self._selective.last))

    def draw(self, pixels: Pixels, target: Path) -> Path:
        """Write FOLDER/NAME.png, the picture reduced if it is large, and forget its tiles."""
        picture = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
        if picture.dtype == np.uint16:
            picture = (picture >> 8).astype(np.uint8)
        scale = min(1.0, _LONGEST / max(picture.shape))
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        drawn = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        for (rows, columns), decision in self._decided:
            for (row, column), treatment in np.ndenumerate(decision.treatment):
                if int(treatment) in _COLOURS:
                    top, left = rows.start + row * CELL, columns.start + column * CELL
                    bottom, right = min(rows.stop, top + CELL), min(columns.stop, left + CELL)
                    part = drawn[round(top * scale) : round(bottom * scale), round(left * scale) : round(right * scale)]
                    colour = np.asarray(_COLOURS[int(treatment)], float)
                    part[:] = (part * (1 - _TINT) + colour * _TINT).astype(np.uint8)
        self._decided.clear()
        path = self._folder / target.relative_to(self._out).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(drawn, path)
        return path
