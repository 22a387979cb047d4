"""The blur score: what restoring is expected to gain in each part of a picture, told without restoring it.

The weights are fitted to what `photos-partly` gains on training photographs, by `baseline.selective.training`; how far
they hold for another network is measured on validation pictures, see `baseline.selective.calibration`. What a network
would change is no substitute: measured on eight validation photographs blurred by 50/30/20, the square of the change
is 0.6 of the gain where blur is mild, 0.9 where it is severe, and where nothing is blurred a change gains nothing.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.data.loader import to_tensor
from baseline.data.stored import Pixels
from baseline.selective.scales import SCALES

CELL = 32
"""Side in pixels of the parts that are scored and decided on."""

WEIGHTS = Path(__file__).parent.parent / "shipped" / "score.safetensors"

Gains = NDArray[np.float32]
"""Rows, columns, `SCALES`: the mean square error that restoring is expected to take off, in grey levels squared."""

_LUMA = (0.299, 0.587, 0.114)
_WIDTHS = (16, 40, 80, 96, 96)
SMALL_GAIN = 5.0
"""Grey levels squared: up to about here what the layers give is linear in the gain, from here on in its logarithm."""
_BAND = 8 * CELL
_SEEN = 3 * CELL
"""More than the network sees around a cell: 65 pixels."""


class ScoreModel(nn.Module):
    """N,3,H,W in 0..1, of sides that are multiples of `CELL` -> N,scales,h,w gains; about 2,000 MACs a pixel."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for place, width in enumerate(_WIDTHS):
            layers += [nn.Conv2d(channels, width, 5 if place == 0 else 3, 2, 2 if place == 0 else 1), nn.ReLU()]
            channels = width
        self.layers = nn.Sequential(
            *layers,
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, len(SCALES), 1),
        )

    def forward(self, picture: Tensor) -> Tensor:
        luma = (picture * picture.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        # Gains range over four orders of magnitude, and may be losses.
        gains: Tensor = SMALL_GAIN * torch.sinh(self.layers(8 * (luma - 0.5)))
        return gains


@cache
def shipped_model() -> ScoreModel:
    """The model with the weights that are shipped."""
    model = ScoreModel()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval()


@torch.inference_mode()
def gains_of(pixels: Pixels, model: nn.Module) -> Gains:
    """H,W,3 or H,W,1 of 8 or 16 bits -> the expected gains of its cells, the last of which may reach over the edge.

    In bands, since a large picture as floats would be larger than anything else here.
    """
    bands = []
    for top in range(0, pixels.shape[0], _BAND):
        above = min(top, _SEEN)
        picture = to_tensor(pixels[top - above : top + _BAND + _SEEN])[None]
        down, right = (-side % CELL for side in picture.shape[-2:])
        scores = model(F.pad(picture, (0, right, 0, down), mode="replicate"))[0]
        bands.append(scores[:, above // CELL : above // CELL + _BAND // CELL])
    return torch.cat(bands, dim=1).permute(1, 2, 0).numpy()


def per_cell(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of H,W over each cell, the last of which may reach over the edge: h,w."""
    rows, columns = (np.arange(0, side, CELL) for side in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    pixels = np.outer(*(np.diff([*starts, side]) for starts, side in zip((rows, columns), values.shape, strict=True)))
    return (sums / pixels).astype(np.float32)
