import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from baseline.data.pairs import Crops
from baseline.data.pictures import Picture
from baseline.errors import UserError
from baseline.losses import supervised
from baseline.settings import FitSettings
from baseline.trainer import fit, learning_rate_share

# Trains the network with dropout, so that the state of the random numbers matters, and dies when told to.
SCRIPT = """
import os, signal, sys
from pathlib import Path

import torch

from baseline.data.photos import photos
from baseline.losses import supervised
from baseline.networks.zoo import build
from baseline.settings import FitSettings
from baseline.trainer import fit

torch.set_num_threads(1)
folder, dies_at = Path(sys.argv[1]), int(sys.argv[2])
settings = FitSettings(
    steps=7, batch=2, crop=32, workers=int(sys.argv[3]), checkpoint_every=2, validate_every=3, lr=1e-2
)
torch.manual_seed(0)
network = build("mimo-unet-plus", {"width": 8, "num_blocks": 1})
steps = 0

def loss(outputs, batch):
    global steps
    steps += 1
    if steps == dies_at:
        assert (folder / "checkpoint.pt").exists()
        os.kill(os.getpid(), signal.SIGKILL)
    return supervised(0.1)(outputs, batch)

def validate(network):
    return float(sum(p.double().sum() for p in network.parameters()))

report = fit(network, photos().training_crops(32), loss, settings, folder, validate)
torch.save({"network": network.state_dict(), "curve": report.curve, "done": steps}, folder / "end.pt")
"""


class Gradual:
    """Blurred: a flat picture; sharp: the same, brighter by a quarter. Easy to learn."""

    def crop(self, rng: np.random.Generator, side: int) -> Crops:
        flat = np.full((side, side, 3), rng.integers(20, 150), np.uint8)
        return flat, (flat + 64).astype(np.uint8)


def settings(**values: float) -> FitSettings:
    return FitSettings(**({"steps": 40, "batch": 2, "crop": 16, "workers": 0} | values))


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 1 / 20),
        (9, 10 / 20),
        (19, 1),
        (20, 1),
        (210, 0.5),  # halfway down the cosine: (210 - 20) / (400 - 20) = 1/2
        (305, (1 + math.cos(0.75 * math.pi)) / 2),
        (400, 0),
    ],
)
def test_the_rate_rises_linearly_and_falls_along_a_cosine(step: int, share: float) -> None:
    assert learning_rate_share(step, settings(steps=400, warmup=0.05)) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_killed_training_ends_as_one_that_was_not(
    tmp_path: Path, run_python: Callable[..., object], workers: int
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_python("-c", SCRIPT, str(whole), "0", str(workers)).returncode == 0
    assert run_python("-c", SCRIPT, str(killed), "6", str(workers)).returncode == -9
    assert not (killed / "end.pt").exists()
    assert run_python("-c", SCRIPT, str(killed), "0", str(workers)).returncode == 0
    expected, resumed = (torch.load(folder / "end.pt", weights_only=True) for folder in (whole, killed))
    assert (expected["done"], resumed["done"]) == (7, 3)
    assert expected["curve"] == resumed["curve"]
    assert [point["step"] for point in resumed["curve"]] == [3, 6, 7, 7]
    for name, tensor in expected["network"].items():
        assert torch.equal(tensor, resumed["network"][name]), name


def test_the_loss_falls_where_there_is_something_to_learn(tiny: Callable[..., nn.Module], tmp_path: Path) -> None:
    network = tiny()
    blurred = torch.full((1, 3, 16, 16), 100 / 255)
    before = (network(blurred)[-1] - blurred - 64 / 255).abs().mean().item()
    report = fit(network, Gradual(), supervised(0.1), settings(lr=3e-3, ema=0.9, steps=60), tmp_path)
    after = (network(blurred)[-1] - blurred - 64 / 255).abs().mean().item()
    assert after < before / 3
    assert report.steps == 60
    assert not network.training
    assert [point["step"] for point in report.curve] == [50, 60]


def test_the_end_holds_the_moving_average(tmp_path: Path) -> None:
    network = nn.Conv2d(3, 3, 1)
    start = network.weight.detach().clone()
    seen: list[torch.Tensor] = []

    def loss(outputs: list[torch.Tensor], batch: object) -> dict[str, torch.Tensor]:
        seen.append(network.weight.detach().clone())
        return {"l1": outputs[0].abs().mean()}

    fit(network, Gradual(), loss, settings(steps=3, lr=0.1, warmup=0.0, ema=0.999), tmp_path)
    assert torch.equal(seen[0], start)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    weights = [seen[1], seen[2], state["network"]["weight"]]
    # torch copies the first; then the decay is (1 + n) / (10 + n) for the n averaged so far.
    average = weights[0]
    for count, weight in enumerate(weights[1:], 1):
        decay = (1 + count) / (10 + count)
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(network.weight.detach(), average)


def test_a_loss_that_is_not_finite_stops_and_names_the_checkpoint(
    tiny: Callable[..., nn.Module], tmp_path: Path
) -> None:
    steps = 0

    def loss(outputs: list[torch.Tensor], batch: object) -> dict[str, torch.Tensor]:
        nonlocal steps
        steps += 1
        return {"l1": outputs[-1].abs().mean() * (float("nan") if steps == 4 else 1)}

    with pytest.raises(UserError) as error:
        fit(tiny(), Gradual(), loss, settings(steps=6, checkpoint_every=2, lr=1e-3), tmp_path)
    assert str(error.value) == (
        "the training loss must stay finite; it became nan in step 4. "
        f"Lower lr (now 0.001); the last good checkpoint is {tmp_path / 'checkpoint.pt'}."
    )
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 2
    assert all(tensor.isfinite().all() for tensor in state["network"].values())


def test_a_crop_larger_than_the_picture_is_refused(tmp_path: Path, noise: Callable[..., Picture]) -> None:
    from baseline.data.pairs import crop_corner

    with pytest.raises(UserError, match=r"^x must be at least 49 pixels a side; it is 64x48\. Set a smaller crop\.$"):
        crop_corner(np.random.default_rng(0), noise(48, 64), 49, "x")


@pytest.mark.parametrize(
    ("key", "value"), [("steps", 0), ("crop", 30), ("lr", -1e-3), ("warmup", 1.0), ("ema", 1.0), ("precision", "int8")]
)
def test_a_setting_out_of_range_is_refused_at_once(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        settings(**{key: value})
