"""Restoring pictures of any size within a memory budget: whole where that fits, in faded tiles where it does not."""

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from baseline import resident
from baseline.budget import bytes_per_pixel
from baseline.data.loader import to_picture, to_tensor
from baseline.data.stored import Pixels
from baseline.errors import UserError
from baseline.metrics import wrong_range
from baseline.restorer import Restorer, fixed_seam, restore_any_size
from baseline.seams import MeasuredSeam, measure_seam
from baseline.tiles import Seam, Tiling, Window, best_tile, blended, lay_tiles, least_pixels

_SURELY = 5000
"""Bytes a pixel that no network of this field takes: what fits even so needs no measuring first."""
_LARGEST_BATCH = 8
_PLANNED_SHARE = 0.85
"""Of the budget is planned; the rest is for what no one counts."""
_HELD = 3.5
"""Times its bytes that a picture takes: as it came, restored, and as Pillow holds it when it reads or writes."""


class ArrayRestorer(Protocol):
    """Restores arrays: H,W,3 or H,W,1 of 8 or 16 bits to the same kind, within `memory` bytes."""

    @property
    def memory(self) -> int:
        """Bytes that restoring may take over what the process holds."""

    def __call__(self, pixels: Pixels, told: Callable[[int], None] = ...) -> Pixels:
        """Restore a picture; `told` hears of each part's number of pixels."""

    def release(self) -> None:
        """Make room for a large picture."""

    def known(self) -> dict[str, Any]:
        """What was given or has been measured so far."""


class BoundedRestorer:
    """Restores arrays within `memory` bytes over what the process holds.

    What a pixel takes in the network and how tiles must overlap is measured when it is first needed, unless given.
    """

    def __init__(
        self, restorer: Restorer, memory: int, pixel_bytes: int | None = None, seam: Seam | None = None
    ) -> None:
        self.restorer = restorer
        self.memory = memory
        self.measured_seam: MeasuredSeam | None = None
        self._given = pixel_bytes, seam

    @cached_property
    def pixel_bytes(self) -> int:
        """Bytes that a pixel takes in the network."""
        return self._given[0] or bytes_per_pixel(self.restorer)

    @cached_property
    def seam(self) -> Seam:
        """How tiles overlap; measuring it takes some seconds."""
        fixed = self.restorer.fixed_size
        if fixed is not None:
            return fixed_seam(fixed)
        if self._given[1] is not None:
            return self._given[1]
        self.measured_seam = measure_seam(self.restorer)
        return self.measured_seam.seam

    def tiling(self, size: tuple[int, int], picture_bytes: int) -> Tiling:
        """How height x width is cut, its pixels being so many bytes; a UserError if the budget is too small."""
        if self.restorer.fixed_size is not None:
            return lay_tiles(size, self.restorer.fixed_size, self.seam, self.restorer.size_multiple)
        left = round(self.memory * _PLANNED_SHARE - _HELD * picture_bytes)
        if size[0] * size[1] * _SURELY <= left:
            return lay_tiles(size, size, Seam(0, 0), 1)
        pixels = max(0, left) // self.pixel_bytes
        if size[0] * size[1] <= pixels:
            return lay_tiles(size, size, Seam(0, 0), 1)
        multiple = self.restorer.size_multiple
        tile = best_tile(size, pixels, self.seam, multiple)
        if tile is None:
            taken = least_pixels(size, self.seam, multiple) * self.pixel_bytes
            least = math.ceil((_HELD * picture_bytes + taken) / _PLANNED_SHARE / 1e6)
            raise UserError(
                f"--memory must be at least {least}MB to restore {size[1]}x{size[0]} pixels with this "
                f"network; it is {self.memory / 1e6:.0f}MB. Give it more."
            )
        return lay_tiles(size, tile, self.seam, multiple)

    def known(self) -> dict[str, Any]:
        """What was given or has been measured so far."""
        pixel_bytes, seam = self.__dict__.get("pixel_bytes", self._given[0]), self.__dict__.get("seam", self._given[1])
        return {"memory": self.memory, "pixel_bytes": pixel_bytes, "seam": seam and [seam.skip, seam.ramp]}

    def __call__(self, pixels: Pixels, told: Callable[[int], None] = lambda _: None) -> Pixels:
        """H,W,3 or H,W,1 of 8 or 16 bits -> the same kind, restored; `told` hears of each part's number of pixels."""
        size = pixels.shape[0], pixels.shape[1]
        tiling = self.tiling(size, pixels.nbytes)
        restored = np.empty_like(pixels)
        restore = partial(self._tiles, pixels)
        for (rows, columns), part in blended(restore, tiling, self._batch(tiling)):
            restored[rows, columns] = to_picture(part[0], pixels.shape[2], pixels.dtype.type)
            told(part.shape[-2] * part.shape[-1])
        return restored

    def release(self) -> None:
        """Make room for a large picture: some runtimes hold the memory of the last one."""
        release = getattr(self.restorer, "release", None)
        if release is not None:
            release()
        resident.give_back()

    def _batch(self, tiling: Tiling) -> int:
        """How many tiles go through at once: several small ones of a fixed size, if the restorer takes them."""
        allowed = self.restorer.max_batch or _LARGEST_BATCH
        if self.restorer.fixed_size is None or len(tiling.columns) == 1 or allowed == 1:
            return 1
        tile = self.restorer.fixed_size[0] * self.restorer.fixed_size[1]
        return max(1, min(allowed, self.memory // (tile * self.pixel_bytes)))

    def _tiles(self, pixels: Pixels, windows: list[Window]) -> list[Tensor]:
        pieces = [to_tensor(pixels[window])[None] for window in windows]
        together = [torch.cat(pieces)] if len({piece.shape for piece in pieces}) == 1 else pieces
        restored = [restore_any_size(self.restorer, part) for part in together]
        return [_checked(piece) for parts in restored for piece in torch.split(parts, 1)]


def _checked(restored: Tensor) -> Tensor:
    restored = restored.float().cpu()
    reason = wrong_range(restored)
    if reason is not None:
        raise UserError(f"the network must restore to a picture in 0..1; {reason}. Train or quantize it anew.")
    return restored
