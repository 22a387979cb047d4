"""Large pictures in overlapping tiles, faded into each other so that no seam shows."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Seam:
    """How two neighbouring tiles meet: they overlap, and in the middle of that one fades into the other.

    `skip` pixels beside a cut are seen and not used; over the next `ramp` pixels a tile's weight grows to one.
    """

    skip: int
    ramp: int

    @property
    def overlap(self) -> int:
        """Pixels that two neighbours share."""
        return 2 * self.skip + self.ramp


@dataclass(frozen=True)
class Span:
    """One side of a tile: what it sees, from `start` to `stop`, and what it gives, from `first` to `last`.

    Its first `ramp` given pixels are faded with the tile before, unless the picture begins there.
    """

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Tiling:
    """Tiles that cover a picture: rows of them, from the top."""

    rows: list[Span]
    columns: list[Span]
    ramp: int

    @property
    def seen_pixels(self) -> int:
        """What all tiles see together: the work that they are."""
        return sum(row.stop - row.start for row in self.rows) * sum(c.stop - c.start for c in self.columns)


_LEAST_GIVEN = 48
"""Pixels that the side of a tile must give, beside those that it shares."""

Window = tuple[slice, slice]
"""Rows and columns of a picture."""


def lay_tiles(size: tuple[int, int], tile: tuple[int, int], seam: Seam, multiple: int) -> Tiling:
    """Tiles of at most `tile` that cover height x width, each from a multiple on.

    From elsewhere, a network's coarser scales would see other pixels together than they do in the whole picture.
    """
    rows, columns = (_spans(side, part, seam, multiple) for side, part in zip(size, tile, strict=True))
    return Tiling(rows, columns, seam.ramp)


def _spans(side: int, tile: int, seam: Seam, multiple: int) -> list[Span]:
    if tile >= side:
        return [Span(0, side, 0, side)]
    step = (tile - seam.overlap) // multiple * multiple
    if step < 1:
        raise ValueError(f"tiles of {tile} pixels are too small for an overlap of {seam.overlap}")
    last = -(-(side - tile) // multiple)
    others = -(-last * multiple // step)
    # Evenly apart: a last tile close to the one before would leave that one less to give than it fades.
    starts = [number * last // others * multiple for number in range(others + 1)]
    windows = [(start, min(start + tile, side)) for start in starts]
    fades = [(after[0] + before[1] - seam.ramp) // 2 for before, after in pairwise(windows)]
    ends = [0, *fades, side]
    return [Span(*window, *given) for window, given in zip(windows, pairwise(ends), strict=True)]


def best_tile(size: tuple[int, int], pixels: int, seam: Seam, multiple: int) -> tuple[int, int] | None:
    """The tile of at most so many pixels with which all tiles together see the least; None if none is small enough."""
    heights, widths = (_sides(side, seam, multiple) for side in size)
    seen = {
        (height, width): rows * height * columns * width
        for height, rows in heights.items()
        for width, columns in widths.items()
        if height * width <= pixels
    }
    return min(seen, key=seen.__getitem__, default=None)


def least_pixels(size: tuple[int, int], seam: Seam, multiple: int) -> int:
    """Of the smallest tile that a picture can be cut into."""
    return min(_sides(size[0], seam, multiple)) * min(_sides(size[1], seam, multiple))


def _sides(side: int, seam: Seam, multiple: int) -> dict[int, int]:
    """The sides of tiles that cover one of the picture, each with the parts it takes, while a tile gives something."""
    sides = {side: 1}
    for parts in count(2):
        given = math.ceil((side - seam.overlap) / parts / multiple) * multiple
        if given < max(multiple, _LEAST_GIVEN):
            break
        if given + seam.overlap < side:
            sides.setdefault(given + seam.overlap, parts)
    return sides


def blended(
    restore: Callable[[list[Window]], list[Tensor]], tiling: Tiling, batch: int = 1
) -> Iterator[tuple[Window, Tensor]]:
    """Parts of the picture, each pixel once, from a function that restores windows, N,3,h,w each.

    Of the tiles before, only strips as wide as the ramp are kept.
    """
    fade = torch.linspace(0, 1, tiling.ramp + 2)[1:-1]
    above: list[Tensor] = []
    for row in tiling.rows:
        below: list[Tensor] = []
        for column, values in zip(tiling.columns, _row(restore, row, tiling, batch, fade), strict=True):
            given = values[..., row.first - row.start : row.last - row.start, :]
            if row.first:
                given = _faded(above[len(below)], given, fade[:, None])
            below.append(_strip(values, row, tiling.ramp, -2))
            yield (slice(row.first, row.last), slice(column.first, column.last)), given
        above = below


def _row(
    restore: Callable[[list[Window]], list[Tensor]], row: Span, tiling: Tiling, batch: int, fade: Tensor
) -> Iterator[Tensor]:
    """The tiles of a row as high as they were seen, as wide as they give, faded from left to right."""
    before = None
    for first in range(0, len(tiling.columns), batch):
        columns = tiling.columns[first : first + batch]
        windows = [(slice(row.start, row.stop), slice(c.start, c.stop)) for c in columns]
        for column, values in zip(columns, restore(windows), strict=True):
            given = values[..., column.first - column.start : column.last - column.start]
            yield given if before is None else _faded(before, given, fade)
            before = _strip(values, column, tiling.ramp, -1)


def _strip(values: Tensor, span: Span, ramp: int, side: int) -> Tensor:
    """What a tile still says of the first pixels of the next one; nothing at the picture's end."""
    begin = span.last - span.start
    return values.narrow(side, begin, min(ramp, values.shape[side] - begin)).clone()


def _faded(before: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """The values, their first rows or columns faded in from those of the tile before."""
    side = -2 if weight.dim() == 2 else -1
    head, rest = torch.split(values, [before.shape[side], values.shape[side] - before.shape[side]], dim=side)
    return torch.cat([torch.lerp(before, head, weight.to(values)), rest], dim=side)
