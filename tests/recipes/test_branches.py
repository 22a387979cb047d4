"""Training a network whose branches cannot be folded: what is left out stays in the record, and nothing is lost."""

from collections.abc import Callable
from pathlib import Path

import torch

from baseline.artifact import load
from baseline.data.photos import photos
from baseline.settings import TrainSettings
from recipes.stages.stage import StageInput
from recipes.stages.table import STAGES
from reports.proofs import notes_of
from reports.record import Variant

MODULE = """
import torch
from torch import nn
from baseline.networks.convolutions import BranchedConv

class Halved(BranchedConv):
    def forward(self, x):
        return 0.5 * super().forward(x)

class Net(nn.Module):
    def __init__(self, plain):
        super().__init__()
        self.folded_arguments = {"plain": True}
        self.conv = nn.Conv2d(3, 3, 3, padding=1) if plain else Halved(3, 3)

    def forward(self, x):
        return x + self.conv(x)

def make(plain=False):
    return Net(plain)
"""


def test_branches_that_fold_to_another_function_are_kept_and_said(
    tmp_path: Path, importable: Callable[[str, str], str]
) -> None:
    architecture = f"{importable('halved_branches', MODULE)}:make"
    settings = TrainSettings(network=architecture, steps=2, batch=1, crop=32, workers=0, validate_every=1)
    given = StageInput(None, None, photos(), tmp_path / "out", tmp_path / "scratch")
    outcome = STAGES["train"].run(given, settings)
    kept = load(tmp_path / "out")
    assert kept.arguments == {}
    assert "conv.point.weight" in kept.network.state_dict()
    assert "folded" not in outcome.details
    (note,) = notes_of(Variant(name="a", details=[{"stage": "train", **outcome.details}]))
    assert note.startswith("folding of branches: left out, since the outputs differ by ")
    assert torch.isfinite(kept.network(torch.rand(1, 3, 32, 32))).all()
