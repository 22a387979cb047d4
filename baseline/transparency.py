"""Restoring images with transparency: what is not seen has no part in what is."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from baseline.data.stored import Pixels

Floats = NDArray[np.float32]

_BAND = 256
"""Rows that are floats at once, an even number: a large image as floats would take more than restoring it."""
_NOTHING = 1e-6


@dataclass(frozen=True)
class Visible:
    """An image for restoring: the less opaque a pixel is, the more it takes the colour of what is seen around it.

    Of the pixels that are not opaque, `apart`: what they were and what they became, N,C, and which are not seen at all.
    """

    pixels: Pixels
    apart: NDArray[np.bool_]
    colours: Pixels
    became: Pixels
    hidden: NDArray[np.bool_]

    def settle_(self, restored: Pixels) -> None:
        """Give back in place the colours that are not seen; those seen in part change as they were restored."""
        change = restored[self.apart].astype(np.int32) - self.became
        change[self.hidden] = 0
        restored[self.apart] = np.clip(self.colours + change, 0, np.iinfo(restored.dtype).max).astype(restored.dtype)


def visible(pixels: Pixels, alpha: Pixels) -> Visible | None:
    """The image, H,W,C, with its transparency, H,W, as it is seen; None if all of it is opaque."""
    top = np.iinfo(alpha.dtype).max
    apart = alpha != top
    if not apart.any():
        return None
    around, seen = _filled(*_halved_image(pixels, alpha)), pixels.copy()
    for begin in range(0, len(pixels), _BAND):
        rows = slice(begin, begin + _BAND)
        weights = _weights(alpha[rows])
        colours = weights * pixels[rows] + (1 - weights) * _doubled_rows(around, rows, pixels.shape)
        here = apart[rows]
        seen[rows][here] = np.rint(colours[here]).astype(pixels.dtype)
    return Visible(seen, apart, pixels[apart], seen[apart], alpha[apart] == 0)


def _halved_image(pixels: Pixels, alpha: Pixels) -> tuple[Floats, Floats]:
    """Colours times opacity and opacity, each the mean of four pixels."""
    bands = []
    for begin in range(0, len(pixels), _BAND):
        weights = _weights(alpha[begin : begin + _BAND])
        bands.append((_halved(weights * pixels[begin : begin + _BAND]), _halved(weights)))
    return np.concatenate([colours for colours, _ in bands]), np.concatenate([weights for _, weights in bands])


def _filled(colours: Floats, weights: Floats) -> Floats:
    """Colours where there is no weight, or little, from coarser and coarser means of those that have it."""
    if weights.min() >= 1 - _NOTHING or weights.size == 1:
        return np.asarray(colours / np.maximum(weights, _NOTHING), np.float32)
    coarser = _doubled(_filled(_halved(colours), _halved(weights)))[: colours.shape[0], : colours.shape[1]]
    return np.asarray(colours + (1 - weights) * coarser, np.float32)


def _weights(alpha: Pixels) -> Floats:
    """Opacity in 0..1: H,W,1."""
    return (alpha.astype(np.float32) / np.float32(np.iinfo(alpha.dtype).max))[..., None]


def _halved(values: Floats) -> Floats:
    """The mean of two by two; beyond the last row and column there is nothing."""
    even = np.pad(values, ((0, values.shape[0] % 2), (0, values.shape[1] % 2), (0, 0)))
    return np.asarray((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4, np.float32)


def _doubled(values: Floats) -> Floats:
    height, width, count = values.shape
    doubled = cv2.resize(values, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(doubled, np.float32).reshape(2 * height, 2 * width, count)


def _doubled_rows(values: Floats, rows: slice, shape: tuple[int, ...]) -> Floats:
    """So many rows of the doubled values, as far as the shape reaches; the first is an even one."""
    first = max(0, rows.start // 2 - 1)
    doubled = _doubled(values[first : rows.stop // 2 + 1])
    return doubled[rows.start - 2 * first : min(rows.stop, shape[0]) - 2 * first, : shape[1]]
