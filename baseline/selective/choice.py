"""What becomes of each cell: left as it is, restored at half scale, or restored in full; at the least work."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baseline.selective.cover import Rectangle, cover, work_of
from baseline.selective.details import CELL
from baseline.selective.gains import TREATMENTS, Gains

LEFT, HALF, FULL = 0, 1, 2
"""What becomes of a cell."""

MARGIN = 16
"""Pixels around a rectangle that the network sees and that are not used: its rim lies where little is gained."""

_COSTS = {"full": 1.0, "half": 0.25}
_LEAST_GAIN = (0.5 / 255) ** 2
"""Mean square that no one sees: a cell that gains less is left as it is."""
_EACH_CALL = 2.0
"""Cells that one more call of the network costs."""
_HALVINGS = 30
_CODES = np.array([FULL, HALF], np.int8)
"""Of the treatments, in their order."""

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


def decide(gains: Gains, aim: float, size: tuple[int, int]) -> Decision:
    """What to do with a picture of height x width whose cells are expected to gain that."""
    treatment = choose(gains, aim)
    margin = MARGIN / CELL
    # At half scale a cell is half as wide, and the margin twice as many cells.
    full, half = (cover(treatment == kind, margin * scale, _EACH_CALL) for kind, scale in ((FULL, 1), (HALF, 2)))
    work = work_of(full, margin, _EACH_CALL) + _COSTS["half"] * work_of(half, 2 * margin, _EACH_CALL)
    everything = size[0] * size[1] / CELL**2
    if work >= everything:
        return Decision(np.full_like(treatment, FULL), [], [], True, 1.0)
    return Decision(treatment, full, half, False, work / everything)


def choose(gains: Gains, aim: float) -> Treatment:
    """The cheapest choice that is expected to keep the share `aim` of what can be gained.

    What can be gained is the sum over cells of what restoring them in full gains, where that is a gain. A cell takes
    the treatment whose gain most exceeds its cost at one price; the price is the highest that keeps the share.
    """
    seen = np.where(gains > _LEAST_GAIN, gains, 0.0)
    possible = seen[..., TREATMENTS.index("full")].sum()
    if possible == 0:
        return np.zeros(gains.shape[:2], np.int8)
    cost = np.array([_COSTS[name] for name in TREATMENTS])
    low, high = 0.0, float((seen / cost).max())
    for _ in range(_HALVINGS):
        price = (low + high) / 2
        kept = _at_price(seen, cost, price)
        if _gain_of(seen, kept) >= aim * possible:
            low = price
        else:
            high = price
    return _at_price(seen, cost, low)


def _at_price(gains: Gains, cost: NDArray[np.float64], price: float) -> Treatment:
    worth = gains - price * cost
    best = worth.argmax(axis=-1)
    paid = np.where(np.take_along_axis(gains, best[..., None], -1)[..., 0] > 0, worth.max(axis=-1) >= 0, False)
    return np.where(paid, _CODES[best], np.int8(LEFT)).astype(np.int8)


def _gain_of(gains: Gains, treatment: Treatment) -> float:
    return float(sum(gains[..., n][treatment == code].sum() for n, code in enumerate(_CODES)))
