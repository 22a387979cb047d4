"""What restoring a cell is expected to gain, in full and at half scale, from how it and its neighbours look.

The weights are fitted to the true gains of the shipped network `photos-partly` by `baseline.selective.training`. How far
they hold for another network is measured on validation pictures: see `baseline.selective.calibration`.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from baseline.selective.details import FEATURES, energy

WEIGHTS = Path(__file__).parent.parent / "shipped" / "gains.safetensors"

TREATMENTS = ("full", "half")
"""Beside leaving a cell as it is: restoring it, or restoring it at half scale and enlarging what that changes."""

Gains = NDArray[np.float64]
"""Rows, columns, treatments: the mean square error that a treatment is expected to take off each cell, in (0..1)^2."""

_WIDTH = 48


class GainModel(nn.Module):
    """N,16,h,w details of cells -> N,2,h,w expected gains as parts of the cells' energy."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2 * FEATURES, _WIDTH, 3, padding=1, padding_mode="replicate"),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1, padding_mode="replicate"),
            nn.ReLU(),
            nn.Conv2d(_WIDTH, len(TREATMENTS), 1),
        )

    def forward(self, detail: Tensor) -> Tensor:
        level = (detail + 8) / 3
        picture = level.mean(dim=(-2, -1), keepdim=True)
        gains: Tensor = self.layers(torch.cat([level, (level - picture)], dim=1))
        return gains


@cache
def shipped_gains() -> GainModel:
    """The model with the weights that are shipped."""
    model = GainModel()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval()


@torch.inference_mode()
def expected_gains(model: nn.Module, detail: Tensor) -> Gains:
    """1,16,h,w details -> the expected gains."""
    gains = model(detail) * energy(detail)
    return gains[0].permute(1, 2, 0).double().numpy()
