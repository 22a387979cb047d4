"""Restoring arrays where a gain is expected, within a memory budget, each treatment faded into what is around it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from baseline.bounded import BoundedRestorer
from baseline.data.stored import Pixels
from baseline.errors import UserError
from baseline.selective.choice import CALL, MARGINS, Decision, Part, decide
from baseline.selective.scales import ALIGNED, SCALES, change_at
from baseline.selective.score import CELL, gains_of
from baseline.tiles import Window


class SelectiveRestorer:
    """Restores where that is expected to gain, as `BoundedRestorer` restores everything; `last` is its last decision.

    `price` and `call` are as of `decide`. A UserError if the network takes pictures of one size only.
    """

    def __init__(self, bounded: BoundedRestorer, model: nn.Module, price: float, call: float = CALL) -> None:
        restorer = bounded.restorer
        if restorer.fixed_size is not None:
            height, width = restorer.fixed_size
            raise UserError(
                f"--selective must have a network that takes pictures of any size; this file takes {width}x{height}. "
                "Export it for another runtime."
            )
        self.bounded = bounded
        self.model = model
        self.price = price
        self.call = call
        self.last: Decision | None = None

    def __call__(self, pixels: Pixels, told: Callable[[int], None] = lambda _: None) -> Pixels:
        """H,W,3 or H,W,1 of 8 or 16 bits -> the same kind; `told` hears of each part's share of the pixels."""
        size = pixels.shape[0], pixels.shape[1]
        self.last = decision = decide(gains_of(pixels, self.model), self.price, size, self.call)
        if decision.whole:
            return self.bounded(pixels, told)
        restored, area, count = pixels.copy(), size[0] * size[1], len(decision.parts)
        for number, part in enumerate(decision.parts):
            seen = _seen(part, size)
            here = pixels[seen]
            change = change_at(SCALES[part.scale], self.bounded, _aligned(here))[: here.shape[0], : here.shape[1]]
            _fade_in_(restored[seen], here + change, _weights(part, seen))
            told(area * (number + 1) // count - area * number // count)
        if not count:
            told(area)
        return restored

    def release(self) -> None:
        """As of `BoundedRestorer`."""
        self.bounded.release()

    def known(self) -> dict[str, Any]:
        """As of `BoundedRestorer`."""
        return self.bounded.known()

    @property
    def memory(self) -> int:
        """As of `BoundedRestorer`."""
        return self.bounded.memory


def _seen(part: Part, size: tuple[int, int]) -> Window:
    """The pixels of a part and its margin, within the picture."""
    one, margin = part.rectangle, MARGINS[part.scale]
    rows = slice(max(0, one.top * CELL - margin), min(size[0], one.bottom * CELL + margin))
    columns = slice(max(0, one.left * CELL - margin), min(size[1], one.right * CELL + margin))
    return rows, columns


def _aligned(pixels: Pixels) -> Pixels:
    """The picture, its last row and column repeated until its sides are multiples of `ALIGNED`."""
    down, right = (-side % ALIGNED for side in pixels.shape[:2])
    return np.pad(pixels, ((0, down), (0, right), (0, 0)), mode="edge") if down or right else pixels


def _weights(part: Part, seen: Window) -> NDArray[np.float32]:
    """h,w,1 over the seen window: 1 in the rectangle, and fading to 0 over the margin around it."""
    one, margin = part.rectangle, MARGINS[part.scale]
    rows = _fading(one.top * CELL, one.bottom * CELL, seen[0], margin)
    columns = _fading(one.left * CELL, one.right * CELL, seen[1], margin)
    return np.minimum(rows[:, None], columns[None, :])[..., None]


def _fading(start: int, stop: int, seen: slice, margin: int) -> NDArray[np.float32]:
    at = np.arange(seen.start, seen.stop, dtype=np.float32) + 0.5
    outside = np.maximum(np.maximum(start - at, at - stop), 0)
    weights: NDArray[np.float32] = np.maximum(1 - outside / margin, 0)
    return weights


def _fade_in_(into: Pixels, values: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
    """Replace levels by values as far as the weights say."""
    mixed = into + weights * (values - into)
    into[:] = np.clip(np.rint(mixed), 0, np.iinfo(into.dtype).max).astype(into.dtype)
