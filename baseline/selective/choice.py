"""What becomes of each cell: left as it is, or restored at one of several scales; at the least work."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baseline.selective.cover import Price, Rectangle, cover, work_of
from baseline.selective.scales import SCALES
from baseline.selective.score import CELL, Gains

LEFT = 0
"""A cell's treatment if nothing is done; what is restored has the place of its scale in `SCALES`, from 1 on."""

MARGINS = (8, 12, 16)
"""Pixels around a rectangle that the network sees at each scale, over which what it restores fades out.

Measured on eight validation photographs blurred by 50/30/20: the same parts keep 0.953 of the gain with 8 pixels and
with 16, which cost an eighth more. With pieces of other parts beside them, packed into one canvas, they keep 0.84: a
network knows a picture's border, but not such seams.
"""

_COSTS = np.square(SCALES)
CALL = 2.0
"""Cells that one more call of the network costs, unless it was measured."""
_LARGEST = 32
"""Cells that a rectangle is high or wide at most, so that none takes much memory."""

Treatment = NDArray[np.int8]
"""Rows, columns: LEFT, or the place of a scale from 1 on, for each cell."""


@dataclass(frozen=True)
class Part:
    """What is restored at once: a rectangle, at the scale of that place in `SCALES`."""

    scale: int
    rectangle: Rectangle


@dataclass(frozen=True)
class Decision:
    """What becomes of each cell, and the parts that do it, the finest last; `whole` if restoring all is no more work.

    `work` is relative to restoring everything.
    """

    treatment: Treatment
    parts: list[Part]
    whole: bool
    work: float


def decide(gains: Gains, price: float, size: tuple[int, int], call: float = CALL) -> Decision:
    """What to do with a picture of height x width, if restoring one cell in full must gain `price`.

    The price is in grey levels squared, the unit of the gains: what is sharp, or blurred beyond hope, is left alone in
    every picture alike. `call` is what one more rectangle costs, in cells.
    """
    chosen = choose(gains, price)
    treatment, parts, work = np.zeros_like(chosen), list[Part](), 0.0
    for scale, (cost, margin) in enumerate(zip(_COSTS, MARGINS, strict=True)):
        cells = Price(margin / CELL, call / cost)
        found = [small for one in cover((chosen == scale + 1) & (treatment == LEFT), cells) for small in _cut(one)]
        # Margins cost, too: what would have been worth it in a larger rectangle may not be in a small one.
        worth = [one for one in found if gains[*one.cells, scale].sum() >= price * cost * work_of([one], cells)]
        for one in worth:
            inside = treatment[one.cells]
            inside[inside == LEFT] = scale + 1
        parts = [*(Part(scale, one) for one in worth), *parts]
        work += cost * work_of(worth, cells)
    everything = size[0] * size[1] / CELL**2 + call
    if work >= everything:
        return Decision(np.ones_like(treatment), [], True, 1.0)
    return Decision(treatment, parts, False, float(work / everything))


def _cut(rectangle: Rectangle) -> list[Rectangle]:
    """The rectangle in pieces that are not too large."""
    top, bottom, left, right = rectangle
    return [
        Rectangle(row, min(row + _LARGEST, bottom), column, min(column + _LARGEST, right))
        for row in range(top, bottom, _LARGEST)
        for column in range(left, right, _LARGEST)
    ]


def choose(gains: Gains, price: float) -> Treatment:
    """For each cell the treatment whose gain most exceeds what it costs at that price, if any does."""
    worth = gains - price * _COSTS
    return np.where(worth.max(axis=-1) > 0, worth.argmax(axis=-1) + 1, LEFT).astype(np.int8)
