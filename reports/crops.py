"""Where the versions of one picture differ most: small windows that do not overlap."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CROP = 96
_BLOCK = 8


@dataclass(frozen=True)
class Crop:
    """A window of a picture in pixels; `deviation` is the versions' standard deviation there, in grey levels."""

    x: int
    y: int
    width: int
    height: int
    deviation: float


def differing_crops(versions: Sequence[NDArray[np.uint8]], most: int = 3) -> list[Crop]:
    """Windows with the largest variance between versions (each H,W,3), the largest first; none where all are equal."""
    if len(versions) < 2:
        return []
    means = _block_means(_variance(versions))
    rows, columns = (min(CROP // _BLOCK, length) for length in means.shape)
    if not rows or not columns:
        return []
    found = _window_means(means, rows, columns)
    crops: list[Crop] = []
    while len(crops) < most:
        y, x = (int(place) for place in np.unravel_index(np.argmax(found), found.shape))
        if found[y, x] <= 0:
            break
        deviation = math.sqrt(found[y, x])
        crops.append(Crop(_BLOCK * x, _BLOCK * y, _BLOCK * columns, _BLOCK * rows, deviation))
        found[max(y - rows + 1, 0) : y + rows, max(x - columns + 1, 0) : x + columns] = 0
    return crops


def _variance(versions: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """The variance of each pixel between versions, averaged over the colours; exact in integers up to the division."""
    total = np.zeros(versions[0].shape, np.int64)
    squares = np.zeros_like(total)
    for version in versions:
        values = version.astype(np.int64)
        total += values
        squares += values * values
    count = len(versions)
    spread: NDArray[np.float64] = (count * squares - total * total).sum(axis=2) / (3 * count * count)
    return spread


def _block_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each whole block; what is left over at the right and at the bottom does not count."""
    rows, columns = (length // _BLOCK for length in values.shape)
    whole = values[: rows * _BLOCK, : columns * _BLOCK]
    means: NDArray[np.float64] = whole.reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3))
    return means


def _window_means(means: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """The mean of every window of so many blocks, by its upper left block."""
    windows = np.lib.stride_tricks.sliding_window_view(means, (rows, columns))
    averaged: NDArray[np.float64] = windows.mean(axis=(2, 3))
    return averaged
