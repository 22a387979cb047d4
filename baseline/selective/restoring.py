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
from baseline.selective.choice import FULL, HALF, MARGIN, Decision, decide
from baseline.selective.cover import Rectangle
from baseline.selective.details import CELL, details_of
from baseline.selective.gains import expected_gains
from baseline.tiles import Window

_RAMP = 8
"""Pixels over which a treatment fades out beyond its cells."""


class SelectiveRestorer:
    """Restores where that is expected to gain, as `BoundedRestorer` restores everything. `last`: what it decided last.

    A UserError if the network takes pictures of one size only, or of sides that cells are no multiples of.
    """

    def __init__(self, bounded: BoundedRestorer, model: nn.Module, aim: float) -> None:
        restorer = bounded.restorer
        if restorer.fixed_size is not None:
            height, width = restorer.fixed_size
            raise UserError(
                f"--selective must have a network that takes pictures of any size; this file takes {width}x{height}. "
                "Export it for another runtime."
            )
        if CELL % (2 * restorer.size_multiple):
            raise UserError(
                f"--selective must have a network whose size_multiple divides {CELL // 2}; "
                f"this one's is {restorer.size_multiple}. Restore without it."
            )
        self.bounded = bounded
        self.model = model
        self.aim = aim
        self.last: Decision | None = None

    def __call__(self, pixels: Pixels, told: Callable[[int], None] = lambda _: None) -> Pixels:
        """H,W,3 or H,W,1 of 8 or 16 bits -> the same kind; `told` hears of each part's share of the pixels."""
        size = pixels.shape[0], pixels.shape[1]
        self.last = decision = decide(expected_gains(self.model, details_of(pixels)), self.aim, size)
        if decision.whole:
            return self.bounded(pixels, told)
        restored = pixels.copy()
        parts = [(one, HALF) for one in decision.half] + [(one, FULL) for one in decision.full]
        for rectangle, kind in parts:
            restore = self._in_full if kind == FULL else self._at_half_scale
            used, values = restore(pixels, rectangle)
            _fade_in_(restored[used], values, _weights(decision.treatment == kind, rectangle, used))
            told(size[0] * size[1] // len(parts))
        told(size[0] * size[1] % len(parts) if parts else size[0] * size[1])
        return restored

    def _in_full(self, pixels: Pixels, rectangle: Rectangle) -> tuple[Window, NDArray[np.float32]]:
        """Where a rectangle and its ramp lie, and the levels that restoring gives there."""
        seen, used = (_window(rectangle, around, CELL, pixels.shape) for around in (MARGIN, _RAMP))
        return used, self.bounded(pixels[seen])[_inside(used, seen)].astype(np.float32)

    def _at_half_scale(self, pixels: Pixels, rectangle: Rectangle) -> tuple[Window, NDArray[np.float32]]:
        """The same, with what restoring changes at half scale."""
        half = -(-pixels.shape[0] // 2), -(-pixels.shape[1] // 2)
        seen, used = (_window(rectangle, around, CELL // 2, half) for around in (MARGIN, _RAMP))
        smaller = _halved(pixels, seen)
        change = self.bounded(smaller).astype(np.float32) - smaller
        change *= np.iinfo(pixels.dtype).max / np.iinfo(smaller.dtype).max
        change = change[_inside(used, seen)]
        larger = cv2.resize(change, (2 * change.shape[1], 2 * change.shape[0]), interpolation=cv2.INTER_LINEAR)
        whole = _doubled(used, pixels.shape)
        here = pixels[whole]
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
    return np.rint(means * (65535 / np.iinfo(pixels.dtype).max)).astype(np.uint16)


def _doubled(window: Window, size: tuple[int, ...]) -> Window:
    rows, columns = (slice(2 * s.start, min(2 * s.stop, whole)) for s, whole in zip(window, size, strict=False))
    return rows, columns


def _window(rectangle: Rectangle, around: int, cell: int, size: tuple[int, ...]) -> Window:
    """The pixels of a rectangle and so many around it, within the picture."""
    rows = slice(max(0, rectangle.top * cell - around), min(size[0], rectangle.bottom * cell + around))
    columns = slice(max(0, rectangle.left * cell - around), min(size[1], rectangle.right * cell + around))
    return rows, columns


def _inside(used: Window, seen: Window) -> Window:
    rows, columns = (slice(u.start - s.start, u.stop - s.start) for u, s in zip(used, seen, strict=True))
    return rows, columns


def _weights(chosen: NDArray[np.bool_], rectangle: Rectangle, used: Window) -> NDArray[np.float32]:
    """h,w,1 over the used window: 1 in the rectangle's chosen cells and, outside of them, fading to 0 over the ramp."""
    own = chosen[rectangle.top : rectangle.bottom, rectangle.left : rectangle.right]
    cells = np.repeat(np.repeat(own.astype(np.float32), CELL, axis=0), CELL, axis=1)
    mask = np.pad(cells, 2 * _RAMP)
    grown = cv2.dilate(mask, np.ones((_RAMP + 1, _RAMP + 1), np.uint8))
    soft = np.asarray(cv2.blur(grown, (_RAMP + 1, _RAMP + 1)), dtype=np.float32)
    top, left = rectangle.top * CELL - 2 * _RAMP, rectangle.left * CELL - 2 * _RAMP
    return soft[used[0].start - top : used[0].stop - top, used[1].start - left : used[1].stop - left, None]


def _fade_in_(into: Pixels, values: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
    """Replace levels by values as far as the weights say."""
    mixed = into + weights * (values - into)
    into[:] = np.clip(np.rint(mixed), 0, np.iinfo(into.dtype).max).astype(into.dtype)
