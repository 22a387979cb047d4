"""The blur score: how much restoring would change each part of a picture, told without restoring it.

A network that is trained to the least square error takes off it, on average, the square of what it changes: the error
of the blurred picture is that change and, apart from it, the error that remains. So the square of the change is the
expected gain, and the change can be learned from any pictures, sharp ones not needed. The weights are fitted to
`photos-partly` by `baseline.selective.training`; how far they hold for another network is measured on validation
pictures, see `baseline.selective.calibration`.
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
from baseline.data.picture_files import Pixels

CELL = 32
"""Side in pixels of the parts that are scored and decided on."""

WEIGHTS = Path(__file__).parent.parent / "shipped" / "score.safetensors"

TREATMENTS = ("full", "half")
"""Beside leaving a part as it is: restoring it, or restoring it at half scale and enlarging what that changes."""

Scores = NDArray[np.float32]
"""Rows, columns, treatments: root mean square of what a treatment would change, in grey levels of 255."""

_LUMA = (0.299, 0.587, 0.114)
_WIDTHS = (16, 32, 48, 64, 64)
_BAND = 8 * CELL
_SEEN = 3 * CELL
"""More than the network sees around a cell: 65 pixels."""


class ScoreModel(nn.Module):
    """N,3,H,W in 0..1, of sides that are multiples of `CELL` -> N,2,h,w scores; about 900 MACs a pixel."""

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
            nn.Conv2d(channels, len(TREATMENTS), 1),
        )

    def forward(self, picture: Tensor) -> Tensor:
        luma = (picture * picture.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        scores: Tensor = F.softplus(self.layers(8 * (luma - 0.5)))
        return scores


@cache
def shipped_model() -> ScoreModel:
    """The model with the weights that are shipped."""
    model = ScoreModel()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval()


@torch.inference_mode()
def scores_of(pixels: Pixels, model: nn.Module) -> Scores:
    """H,W,3 or H,W,1 of 8 or 16 bits -> the scores of its cells, the last of which may reach over the edge.

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


def per_cell(values: Tensor) -> Tensor:
    """The mean of N,C,H,W over each cell: N,C,h,w."""
    down, right = (-side % CELL for side in values.shape[-2:])
    return F.avg_pool2d(F.pad(values, (0, right, 0, down), mode="replicate"), CELL)
