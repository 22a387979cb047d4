"""What a picture's cells look like to the gain model: how much their pixels differ, by direction and distance.

Blur takes the finest differences first, and motion takes those along its own direction first.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from baseline.data.loader import to_tensor
from baseline.data.picture_files import Pixels

CELL = 32
"""Side in pixels of the cells that are looked at and decided on."""

LUMA = (0.299, 0.587, 0.114)

_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
_DISTANCES = ((0, 1), (1, 1), (1, 2), (2, 2))
"""Of the pixels that are compared: how often the picture is halved first, and how many pixels then."""
_NOTHING = 1e-6
"""Mean square of detail below which there is nothing to see: a tenth of the noise of one grey level."""

_BAND = 16 * CELL

FEATURES = len(_DIRECTIONS) * len(_DISTANCES)


@torch.inference_mode()
def details(picture: Tensor) -> Tensor:
    """1,3,H,W in 0..1 -> 1,16,h,w: for each cell, the logarithms of the mean square differences of its pixels.

    The four directions of the smallest distance come first; the last row and column of cells may reach over the edge.
    """
    grey = (picture * torch.tensor(LUMA, dtype=picture.dtype).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    grey = _to_whole_cells(grey)
    halved = [grey, F.avg_pool2d(grey, 2), F.avg_pool2d(grey, 4)]
    squares = [
        _squares(halved[halvings], steps * down, steps * right, CELL >> halvings)
        for halvings, steps in _DISTANCES
        for down, right in _DIRECTIONS
    ]
    return (torch.cat(squares, dim=1) + _NOTHING).log()


def energy(detail: Tensor) -> Tensor:
    """N,16,h,w -> N,1,h,w: the sum of a cell's mean square differences, in the same unit as gains."""
    return detail.exp().sum(dim=1, keepdim=True)


def cells(size: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of cells that cover height x width."""
    return -(-size[0] // CELL), -(-size[1] // CELL)


def per_cell(values: Tensor) -> Tensor:
    """The mean of N,1,H,W over each cell: N,1,h,w."""
    return F.avg_pool2d(_to_whole_cells(values), CELL)


def _to_whole_cells(values: Tensor) -> Tensor:
    rows, columns = cells(tuple(values.shape[-2:]))
    more = (0, columns * CELL - values.shape[-1], 0, rows * CELL - values.shape[-2])
    return F.pad(values, more, mode="replicate")


def _squares(grey: Tensor, down: int, right: int, cell: int) -> Tensor:
    """The mean over each cell of the squared difference to the pixel so far down and to the right."""
    height, width = grey.shape[-2:]
    left = max(0, -right)
    here = grey[..., : height - down, left : width - max(0, right)]
    there = grey[..., down:, left + right : left + right + here.shape[-1]]
    difference = torch.zeros_like(grey)
    torch.sub(here, there, out=difference[..., : height - down, left : left + here.shape[-1]])
    return F.avg_pool2d(difference.square_(), cell)


def details_of(pixels: Pixels) -> Tensor:
    """H,W,3 or H,W,1 of 8 or 16 bits -> what `details` gives, band by band: a large picture as floats would be larger."""
    tops = range(0, pixels.shape[0], _BAND)
    # Pixels are compared with those below them: a band must see the next cells.
    bands = [details(to_tensor(pixels[top : top + _BAND + CELL])[None]) for top in tops]
    return torch.cat([band[:, :, : _BAND // CELL] for band in bands], dim=2)
