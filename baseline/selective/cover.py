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


def cover(chosen: NDArray[np.bool_], margin: float, each: float) -> list[Rectangle]:
    """Rectangles that hold all chosen cells, joined while that makes less work.

    A rectangle's work is its area with `margin` cells around it, and `each` more, in cells. Greedy, not optimal: it
    starts from the runs of each row.
    """
    found = np.array(_runs(chosen), dtype=np.int64).reshape(-1, 4)
    while len(found) > 1:
        joined = np.empty((len(found), len(found), 4), np.int64)
        for side, pick in enumerate((np.minimum, np.maximum, np.minimum, np.maximum)):
            joined[..., side] = pick.outer(found[:, side], found[:, side])
        work = _work(found, margin, each)
        saved = work[:, None] + work[None, :] - _work(joined, margin, each)
        np.fill_diagonal(saved, -np.inf)
        first, second = np.unravel_index(int(saved.argmax()), saved.shape)
        if saved[first, second] <= 0:
            break
        whole = joined[first, second]
        within = (
            (found[:, 0] >= whole[0])
            & (found[:, 1] <= whole[1])
            & (found[:, 2] >= whole[2])
            & (found[:, 3] <= whole[3])
        )
        found = np.concatenate([found[~within], whole[None]])
    return [Rectangle(*map(int, rectangle)) for rectangle in found]


def work_of(rectangles: list[Rectangle], margin: float, each: float) -> float:
    """What restoring these rectangles costs, in cells."""
    return float(_work(np.array(rectangles, dtype=np.int64).reshape(-1, 4), margin, each).sum())


def _work(rectangles: NDArray[np.int64], margin: float, each: float) -> NDArray[np.float64]:
    height = rectangles[..., 1] - rectangles[..., 0] + 2 * margin
    width = rectangles[..., 3] - rectangles[..., 2] + 2 * margin
    work: NDArray[np.float64] = height * width + each
    return work


def _runs(chosen: NDArray[np.bool_]) -> list[Rectangle]:
    """The unbroken runs of chosen cells in each row."""
    found = []
    for row, cells in enumerate(chosen):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], cells.astype(np.int8), [0]])))
        found += [Rectangle(row, row + 1, int(left), int(right)) for left, right in edges.reshape(-1, 2)]
    return found
