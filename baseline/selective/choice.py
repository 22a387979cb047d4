"""What becomes of each cell: left as it is, restored at half scale, or restored in full; at the least work."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baseline.selective.cover import Price, Rectangle, cover, work_of
from baseline.selective.score import CELL, TREATMENTS, Scores

LEFT, HALF, FULL = 0, 1, 2
"""What becomes of a cell."""

MARGIN = 8
"""Pixels around a rectangle that the network sees, over which what it restores fades out.

Measured on four validation photographs blurred by 50/30/20: half of the work keeps 0.87 of the gain with 8 pixels, and
about 0.79 with 16, whose rectangles are dearer.
"""

_CODES = np.array([FULL, HALF], np.int8)
"""Of the treatments, in their order."""
_COSTS = np.array([1.0, 0.25])
_LEAST_SCORE = 0.5
"""Grey levels that no one sees: a cell that would change less is left as it is."""
_EACH_CALL = 2.0
"""Cells that one more call of the network costs."""
_HALVINGS = 30

Gains = NDArray[np.float64]
"""Rows, columns, treatments: the mean square error that a treatment is expected to take off, in grey levels squared."""

Treatment = NDArray[np.int8]
"""Rows, columns: LEFT, HALF or FULL for each cell."""


@dataclass(frozen=True)
class Decision:
    """What becomes of each cell, and the rectangles that do it; `whole` if restoring everything is no more work.

    `work` is relative to restoring everything.
    """

    treatment: Treatment
    full: list[Rectangle]
    half: list[Rectangle]
    whole: bool
    work: float


def decide(scores: Scores, aim: float, size: tuple[int, int]) -> Decision:
    """What to do with a picture of height x width of these scores, to keep the share `aim` of the expected gain."""
    chosen = choose(expected_gains(scores), aim)
    # At half scale a cell is half as wide, and the margin twice as many cells.
    full_price, half_price = Price(MARGIN / CELL, _EACH_CALL), Price(2 * MARGIN / CELL, _EACH_CALL)
    full = cover(chosen == FULL, full_price)
    treatment = _filled(np.zeros_like(chosen), full, FULL)
    half = cover((chosen == HALF) & (treatment != FULL), half_price)
    treatment = _filled(_filled(treatment, half, HALF), full, FULL)
    work = work_of(full, full_price) + _COSTS[1] * work_of(half, half_price)
    everything = size[0] * size[1] / CELL**2
    if work >= everything:
        return Decision(np.full_like(treatment, FULL), [], [], True, 1.0)
    return Decision(treatment, full, half, False, work / everything)


def expected_gains(scores: Scores) -> Gains:
    """What treating each cell is expected to gain, the square of what it changes; nothing where no one would see it.

    Measured with `photos-partly` on 40 windows of validation photographs, gains are 1.11 times the squares of the true
    changes in full, and 1.00 times at half scale.
    """
    gains: Gains = np.where(scores > _LEAST_SCORE, scores.astype(np.float64) ** 2, 0.0)
    return gains


def choose(gains: Gains, aim: float) -> Treatment:
    """The cheapest choice that is expected to keep the share `aim` of what restoring everything in full would gain.

    A cell takes the treatment whose gain most exceeds its cost at one price; the price is the highest that keeps the
    share.
    """
    possible = gains[..., TREATMENTS.index("full")].sum()
    low, high = 0.0, float((gains / _COSTS).max(initial=0.0))
    for _ in range(_HALVINGS):
        price = (low + high) / 2
        if _gain_of(gains, _at_price(gains, price)) >= aim * possible:
            low = price
        else:
            high = price
    return _at_price(gains, low)


def _at_price(gains: Gains, price: float) -> Treatment:
    worth = gains - price * _COSTS
    best = worth.argmax(axis=-1)
    paid = (np.take_along_axis(gains, best[..., None], -1)[..., 0] > 0) & (worth.max(axis=-1) >= 0)
    return np.where(paid, _CODES[best], np.int8(LEFT)).astype(np.int8)


def _gain_of(gains: Gains, treatment: Treatment) -> float:
    return float(sum(gains[..., n][treatment == code].sum() for n, code in enumerate(_CODES)))


def _filled(treatment: Treatment, rectangles: list[Rectangle], code: int) -> Treatment:
    """All cells of the rectangles get the treatment: what is restored anyway is taken."""
    filled = treatment.copy()
    for one in rectangles:
        filled[one.top : one.bottom, one.left : one.right] = code
    return filled
