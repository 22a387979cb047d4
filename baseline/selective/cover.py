"""Rectangles that cover the chosen cells of a grid with little work."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Rectangle(NamedTuple):
    """Rows and columns of cells, the ends not included."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def cells(self) -> tuple[slice, slice]:
        """Its rows and columns of a grid."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


class Price(NamedTuple):
    """What a rectangle costs: its area with `margin` cells around it, and `each` more, in cells."""

    margin: float
    each: float

    def of(self, height: NDArray[np.int64], width: NDArray[np.int64]) -> NDArray[np.float64]:
        """The work of rectangles of so many rows and columns; nothing for those without any."""
        work = (height + 2 * self.margin) * (width + 2 * self.margin) + self.each
        return np.where((height > 0) & (width > 0), work, 0.0)


def work_of(rectangles: list[Rectangle], price: Price) -> float:
    """What restoring these rectangles costs, in cells."""
    sides = np.array(rectangles, dtype=np.int64).reshape(-1, 4)
    return float(price.of(sides[:, 1] - sides[:, 0], sides[:, 3] - sides[:, 2]).sum())


def cover(chosen: NDArray[np.bool_], price: Price) -> list[Rectangle]:
    """Rectangles that hold all chosen cells of a grid; they do not overlap, but for their margins.

    The smallest rectangle around them is cut in two where that leaves the least work, and again, and a cut is taken
    back if the parts are not less work than the whole. Not the optimum, but near it and quick.
    """
    return _covered(chosen, 0, 0, price)[1]


def _covered(chosen: NDArray[np.bool_], top: int, left: int, price: Price) -> tuple[float, list[Rectangle]]:
    """The work and the rectangles of a part of the grid that begins there."""
    rows, columns = (np.flatnonzero(chosen.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0.0, []
    chosen = chosen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    top, left = top + int(rows[0]), left + int(columns[0])
    height, width = chosen.shape
    whole = work_of([Rectangle(0, height, 0, width)], price)
    one = [Rectangle(top, top + height, left, left + width)]
    if whole <= 2 * work_of([Rectangle(0, 1, 0, 1)], price) or chosen.all():
        return whole, one
    across, down = _after_cuts(chosen, price), _after_cuts(chosen.T, price)
    if across.min() <= down.min():
        cut = int(across.argmin()) + 1
        parts = (chosen[:cut], top, left), (chosen[cut:], top + cut, left)
    else:
        cut = int(down.argmin()) + 1
        parts = (chosen[:, :cut], top, left), (chosen[:, cut:], top, left + cut)
    found = [_covered(*part, price) for part in parts]
    work = sum(part[0] for part in found)
    return (work, [*found[0][1], *found[1][1]]) if work < whole else (whole, one)


def _after_cuts(chosen: NDArray[np.bool_], price: Price) -> NDArray[np.float64]:
    """The work that is left by a cut below each row but the last, each part having shrunk to what is chosen in it."""
    above, below = _shrunk(chosen, price), _shrunk(chosen[::-1], price)[::-1]
    return above[:-1] + below[1:] if len(chosen) > 1 else np.array([np.inf])


def _shrunk(chosen: NDArray[np.bool_], price: Price) -> NDArray[np.float64]:
    """For each row, the work of the smallest rectangle around what is chosen from the first row to it."""
    count, width = chosen.shape
    filled = chosen.any(axis=1)
    first = np.where(filled, chosen.argmax(axis=1), width)
    last = np.where(filled, width - chosen[:, ::-1].argmax(axis=1), 0)
    wide = np.maximum.accumulate(last) - np.minimum.accumulate(first)
    end = np.maximum.accumulate(np.where(filled, np.arange(1, count + 1), 0))
    return price.of(end - int(filled.argmax()), wide)
