"""How far each cell of a picture is blurred: a tiny network's guess, the same for whatever restores the picture.

It looks at how much neighbouring pixels differ, in four directions and at four distances: blur takes the small distances
first, and motion takes its own direction first. Trained on the shipped training photographs by
`baseline.blur_score_training`.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

CELL = 32
"""Side in pixels of the cells that are looked at and decided on."""

WEIGHTS = Path(__file__).parent / "shipped" / "blur_score.safetensors"
LUMA = (0.299, 0.587, 0.114)

Looks = NDArray[np.float32]
"""Rows, columns, features of each cell: two scores, then logarithms of its detail, fine to coarse."""

SCORES = 2
_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
_DISTANCES = ((0, 1), (1, 1), (1, 2), (2, 2))
"""Of the pixels that are compared: how often the picture is halved first, and how many pixels then."""
_NOTHING = 1e-6
"""Mean square of detail below which there is nothing to see: a tenth of the noise of one grey level."""


class BlurScore(nn.Module):
    """N,16,h,w logarithms of detail -> N,2,h,w: how far the cell is blurred, as `to_score` says, and if it is at all."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(len(_DIRECTIONS) * len(_DISTANCES), 48, 3, padding=1, padding_mode="replicate"),
            nn.ReLU(),
            nn.Conv2d(48, 48, 3, padding=1, padding_mode="replicate"),
            nn.ReLU(),
            nn.Conv2d(48, SCORES, 1),
        )

    def forward(self, detail: Tensor) -> Tensor:
        scores: Tensor = self.layers((detail + 8) / 3)
        return scores


def to_score(reach: Tensor) -> Tensor:
    """The score of a blur that reaches so many pixels from its middle: 0 for none, finer where it is small."""
    return torch.log2(1 + 2 * reach)


@cache
def _network() -> BlurScore:
    network = BlurScore()
    network.load_state_dict(load_file(WEIGHTS))
    return network.eval()


@torch.inference_mode()
def look(picture: Tensor) -> Looks:
    """1,3,H,W in 0..1 -> what its cells look like; the last row and column of cells may reach over the edge."""
    detail = details(picture)
    by_distance = detail.unflatten(1, (len(_DISTANCES), -1)).mean(dim=2)
    return torch.cat([_network()(detail), by_distance], dim=1)[0].permute(1, 2, 0).numpy().astype(np.float32)


def details(picture: Tensor) -> Tensor:
    """1,3,H,W in 0..1 -> 1,16,h,w: for each cell, the logarithms of the mean square differences of its pixels.

    The four directions of the smallest distance come first.
    """
    grey = (picture * torch.tensor(LUMA, dtype=picture.dtype).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    rows, columns = cells(grey.shape[-2:])
    grey = F.pad(grey, (0, columns * CELL - grey.shape[-1], 0, rows * CELL - grey.shape[-2]), mode="replicate")
    halved = [grey, F.avg_pool2d(grey, 2), F.avg_pool2d(grey, 4)]
    squares = [
        _squares(halved[halvings], steps * down, steps * right, CELL >> halvings)
        for halvings, steps in _DISTANCES
        for down, right in _DIRECTIONS
    ]
    return (torch.cat(squares, dim=1) + _NOTHING).log()


def _squares(grey: Tensor, down: int, right: int, cell: int) -> Tensor:
    """The mean over each cell of the squared difference to the pixel so far down and to the right."""
    height, width = grey.shape[-2:]
    left = max(0, -right)
    here = grey[..., : height - down, left : width - max(0, right)]
    there = grey[..., down:, left + right : left + right + here.shape[-1]]
    difference = torch.zeros_like(grey)
    torch.sub(here, there, out=difference[..., : height - down, left : left + here.shape[-1]])
    return F.avg_pool2d(difference.square_(), cell)


def cells(size: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of cells that cover height x width."""
    return -(-size[0] // CELL), -(-size[1] // CELL)


def per_cell(values: Tensor) -> NDArray[np.float64]:
    """The mean of H,W over each cell."""
    rows, columns = cells(values.shape)
    more = (0, columns * CELL - values.shape[1], 0, rows * CELL - values.shape[0])
    whole = F.pad(values[None, None], more, mode="replicate")
    mean: NDArray[np.float64] = F.avg_pool2d(whole, CELL)[0, 0].double().numpy()
    return mean
