"""Restoring arrays where a gain is expected, within a memory budget, each treatment faded into what is around it."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from baseline.bounded import BoundedRestorer
from baseline.data.picture_files import Pixels
from baseline.errors import UserError
from baseline.selective.choice import MARGIN, Decision, decide
from baseline.selective.cover import Rectangle
from baseline.selective.score import CELL, scores_of
from baseline.tiles import Window


class SelectiveRestorer:
    """Restores where that is expected to gain, as `BoundedRestorer` restores everything; `last` is its last decision.

    A UserError if the network takes pictures of one size only.
    """

    def __init__(self, bounded: BoundedRestorer, model: nn.Module, aim: float) -> None:
        restorer = bounded.restorer
        if restorer.fixed_size is not None:
            height, width = restorer.fixed_size
            raise UserError(
                f"--selective must have a network that takes pictures of any size; this file takes {width}x{height}. "
                "Export it for another runtime."
            )
        self.bounded = bounded
        self.model = model
        self.aim = aim
        self.last: Decision | None = None

    def __call__(self, pixels: Pixels, told: Callable[[int], None] = lambda _: None) -> Pixels:
        """H,W,3 or H,W,1 of 8 or 16 bits -> the same kind; `told` hears of each part's share of the pixels."""
        size = pixels.shape[0], pixels.shape[1]
        self.last = decision = decide(scores_of(pixels, self.model), self.aim, size)
        if decision.whole:
            return self.bounded(pixels, told)
        restored, area = pixels.copy(), size[0] * size[1]
        # In full last: it fades into what was restored at half scale.
        parts = [(one, self._at_half_scale) for one in decision.half] + [(one, self._in_full) for one in decision.full]
        for number, (rectangle, restore) in enumerate(parts):
            used, values = restore(pixels, rectangle)
            _fade_in_(restored[used], values, _weights(rectangle, used))
            told(area * (number + 1) // len(parts) - area * number // len(parts))
        if not parts:
            told(area)
        return restored

    def _in_full(self, pixels: Pixels, rectangle: Rectangle) -> tuple[Window, NDArray[np.float32]]:
        """Where a rectangle and its margin lie, and the levels that restoring gives there."""
        seen = _window(rectangle, CELL, pixels.shape)
        return seen, self.bounded(pixels[seen]).astype(np.float32)

    def _at_half_scale(self, pixels: Pixels, rectangle: Rectangle) -> tuple[Window, NDArray[np.float32]]:
        """The same, with what restoring changes at half scale."""
        half = -(-pixels.shape[0] // 2), -(-pixels.shape[1] // 2)
        seen = _window(rectangle, CELL // 2, half)
        smaller = _halved(pixels, seen)
        change = self.bounded(smaller).astype(np.float32) - smaller
        change *= np.iinfo(pixels.dtype).max / np.iinfo(smaller.dtype).max
        larger = cv2.resize(change, (2 * change.shape[1], 2 * change.shape[0]), interpolation=cv2.INTER_LINEAR)
        whole = _doubled(seen, pixels.shape)
        here = pixels[whole].astype(np.float32)
        return whole, here + larger.reshape(*larger.shape[:2], -1)[: here.shape[0], : here.shape[1]]

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


def _halved(pixels: Pixels, seen: Window) -> Pixels:
    """The window, given at half scale, of the picture at half scale: the means of four pixels, in 16 bits."""
    part = pixels[_doubled(seen, pixels.shape)]
    odd = part.shape[0] % 2, part.shape[1] % 2
    if any(odd):
        part = np.pad(part, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
    height, width, channels = part.shape
    means = part.reshape(height // 2, 2, width // 2, 2, channels).mean(axis=(1, 3), dtype=np.float32)
    levels: Pixels = np.rint(means * (65535 / np.iinfo(pixels.dtype).max)).astype(np.uint16)
    return levels


def _doubled(window: Window, size: tuple[int, ...]) -> Window:
    rows, columns = (slice(2 * s.start, min(2 * s.stop, whole)) for s, whole in zip(window, size, strict=False))
    return rows, columns


def _window(rectangle: Rectangle, cell: int, size: tuple[int, ...]) -> Window:
    """The pixels of a rectangle and its margin, within the picture."""
    rows = slice(max(0, rectangle.top * cell - MARGIN), min(size[0], rectangle.bottom * cell + MARGIN))
    columns = slice(max(0, rectangle.left * cell - MARGIN), min(size[1], rectangle.right * cell + MARGIN))
    return rows, columns


def _weights(rectangle: Rectangle, used: Window) -> NDArray[np.float32]:
    """h,w,1 over the used window: 1 in the rectangle, and fading to 0 over the margin around it."""
    sides = (
        _fading(rectangle.top * CELL, rectangle.bottom * CELL, used[0]),
        _fading(rectangle.left * CELL, rectangle.right * CELL, used[1]),
    )
    return np.minimum(sides[0][:, None], sides[1][None, :])[..., None]


def _fading(start: int, stop: int, used: slice) -> NDArray[np.float32]:
    at = np.arange(used.start, used.stop, dtype=np.float32) + 0.5
    outside = np.maximum(np.maximum(start - at, at - stop), 0)
    weights: NDArray[np.float32] = np.maximum(1 - outside / MARGIN, 0)
    return weights


def _fade_in_(into: Pixels, values: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
    """Replace levels by values as far as the weights say."""
    mixed = into + weights * (values - into)
    into[:] = np.clip(np.rint(mixed), 0, np.iinfo(into.dtype).max).astype(into.dtype)
