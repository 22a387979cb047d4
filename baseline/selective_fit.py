"""Fitting what restoring gains where, on the validation photographs: sharp ones, mildly and severely blurred ones."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from baseline.blur_score import Looks, look, per_cell
from baseline.data.blur import photographed, shake, to_linear
from baseline.data.loader import to_tensor
from baseline.data.photos import FOLDER, PAIR_SIZE, load_photo
from baseline.data.pictures import Picture, list_pictures
from baseline.errors import UserError
from baseline.gain_model import GainModel, fit_gains
from baseline.restorer import Restorer, restore_any_size
from baseline.selective import FULL, HALF, choose

REACHES = (0.0, 0.4, 0.8, 1.2, 1.6, 2.0, 3.0, 4.0, 5.0, 6.0)
"""Of the shakes that are fitted on, in pixels; 0 is a sharp picture with its noise."""

AIMS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.999)
_SEED = 73_001
_UNIFORM_FROM = 1.0
"""Reaches from which a picture counts as blurred when the share of the gain that was kept is taken."""


@dataclass(frozen=True)
class Seen:
    """A blurred validation picture: how its cells look, and their errors left alone, restored, and at half scale."""

    photo: int
    reach: float
    looks: Looks
    errors: NDArray[np.float64]


@dataclass(frozen=True)
class SelectiveFit:
    """The model, and for each aim the share of the full gain in dB that it kept on photographs it was not fitted on."""

    model: GainModel
    kept: list[tuple[float, float]]

    def aim_for(self, share: float) -> float:
        """The smallest aim that kept at least this share; a UserError if none did."""
        for aim, kept in self.kept:
            if kept >= share:
                return aim
        best = max(kept for _, kept in self.kept)
        raise UserError(f"--keep-gain must be at most {best:.3f} for this network, by its fit; got {share}. Lower it.")

    def as_text(self, key: str) -> str:
        """As JSON; `key` is the checksum of the network that it was fitted for."""
        return json.dumps({"network": key, "model": self.model.as_json(), "kept": self.kept}) + "\n"


def load_fit(path: Path, key: str) -> SelectiveFit | None:
    """The fit that was saved for this network; None if there is none, or one of another network."""
    if not path.is_file():
        return None
    held: dict[str, Any] = json.loads(path.read_text())
    if held["network"] != key:
        return None
    return SelectiveFit(GainModel(**held["model"]), [(aim, kept) for aim, kept in held["kept"]])


def fit_selective(restorer: Restorer, told: Callable[[int], None] = lambda _: None) -> SelectiveFit:
    """Fit on the eight validation photographs; `told` hears how many of `pictures_to_see` pictures are done."""
    seen = []
    for picture in see(restorer):
        seen.append(picture)
        told(len(seen))
    photos = sorted({one.photo for one in seen})
    without = {n: _model([one for one in seen if one.photo != n]) for n in photos}
    gains = [without[one.photo].gains(one.looks) for one in seen]
    return SelectiveFit(_model(seen), [(aim, _kept(seen, gains, aim)) for aim in AIMS])


def pictures_to_see() -> int:
    """How many pictures are restored for a fit."""
    return len(REACHES) * len(list_pictures(FOLDER / "val"))


def see(restorer: Restorer) -> Iterator[Seen]:
    """A window of every validation photograph at every reach, restored in full and at half scale."""
    for number, path in enumerate(list_pictures(FOLDER / "val")):
        photo = load_photo(path)
        for step, reach in enumerate(REACHES):
            blurred, sharp = _window(photo, np.random.default_rng([_SEED, number, step]), reach)
            picture = to_tensor(blurred)[None]
            outcomes = (picture, *restored_both(restorer, picture))
            errors = [_errors(outcome, to_tensor(sharp)[None]) for outcome in outcomes]
            yield Seen(number, reach, look(picture), np.stack(errors, axis=-1))


def restored_both(restorer: Restorer, picture: Tensor) -> tuple[Tensor, Tensor]:
    """1,3,H,W of even sides restored in full, and with what half scale changes."""
    smaller = F.avg_pool2d(picture, 2)
    residual = restore_any_size(restorer, smaller).to(picture) - smaller
    half = picture + F.interpolate(residual, scale_factor=2, mode="bilinear")
    return restore_any_size(restorer, picture).to(picture), half


def _window(photo: Picture, rng: np.random.Generator, reach: float) -> tuple[Picture, Picture]:
    height, width = PAIR_SIZE
    top = int(rng.integers(photo.shape[0] - height + 1))
    left = int(rng.integers(photo.shape[1] - width + 1))
    blurred = photographed(to_linear(photo), rng) if reach == 0 else shake(photo, rng, reach)
    place = np.s_[top : top + height, left : left + width]
    return blurred[place], photo[place]


def _errors(outcome: Tensor, sharp: Tensor) -> NDArray[np.float64]:
    """The mean square error of each cell."""
    return per_cell((outcome.clamp(0, 1) - sharp).square().mean(dim=1)[0].cpu())


def _model(seen: list[Seen]) -> GainModel:
    looks = np.concatenate([one.looks.reshape(-1, one.looks.shape[-1]) for one in seen])
    errors = np.concatenate([one.errors.reshape(-1, 3) for one in seen])
    return fit_gains(looks, errors[:, :1] - errors[:, 1:])


def _kept(seen: list[Seen], gains: list[NDArray[np.float64]], aim: float) -> float:
    """The gain over blurred pictures in mean PSNR, as a share of what restoring all of them in full gains."""
    selective, full = 0.0, 0.0
    for one, expected in zip(seen, gains, strict=True):
        if one.reach < _UNIFORM_FROM:
            continue
        treatment = choose(expected, aim)
        chosen = np.select(
            [treatment == FULL, treatment == HALF], [one.errors[..., 1], one.errors[..., 2]], one.errors[..., 0]
        )
        selective += _db(one.errors[..., 0]) - _db(chosen)
        full += _db(one.errors[..., 0]) - _db(one.errors[..., 1])
    return selective / full


def _db(errors: NDArray[np.float64]) -> float:
    return 10 * float(np.log10(errors.mean()))
