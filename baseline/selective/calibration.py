"""Calibrating the choice for a network: which aim keeps which share of the full gain, on validation photographs."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from baseline.data.photos import FOLDER
from baseline.data.pictures import list_pictures
from baseline.errors import UserError
from baseline.restorer import Restorer
from baseline.selective.choice import FULL, HALF, choose
from baseline.selective.gains import expected_gains
from baseline.selective.samples import Sample, samples

AIMS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.999)
WINDOWS = 48
"""Of the validation photographs, that are restored for a calibration."""
_SEED = 73_001


@dataclass(frozen=True)
class Calibration:
    """For each aim, in their order, the share of the full gain in dB that it kept on blurred pictures."""

    kept: list[tuple[float, float]]

    def aim_for(self, share: float) -> float:
        """The smallest aim that kept at least this share; a UserError if none did."""
        for aim, kept in self.kept:
            if kept >= share:
                return aim
        best = max(kept for _, kept in self.kept)
        raise UserError(
            f"--keep-gain must be at most {best:.3f} for this network, by its calibration; got {share}. Lower it."
        )

    def as_text(self, key: str) -> str:
        """As JSON; `key` is the checksum of the network that it was made for."""
        return json.dumps({"network": key, "kept": self.kept}) + "\n"


def load_calibration(path: Path, key: str) -> Calibration | None:
    """What was saved for this network; None if there is nothing, or that of another network."""
    if not path.is_file():
        return None
    held: dict[str, Any] = json.loads(path.read_text())
    return Calibration([(aim, kept) for aim, kept in held["kept"]]) if held["network"] == key else None


def calibrate(restorer: Restorer, model: nn.Module, told: Callable[[int], None] = lambda _: None) -> Calibration:
    """Restore `WINDOWS` windows, blurred all over or in part; `told` hears how many are done."""
    seen = list(_telling(samples(restorer, list_pictures(FOLDER / "val"), WINDOWS, _SEED), told))
    return calibration_of(seen, model)


def calibration_of(seen: Sequence[Sample], model: nn.Module) -> Calibration:
    """What each aim keeps of the gain over all windows that restoring in full makes better."""
    better = [one for one in seen if _db(one.errors[1]) < _db(one.errors[0])]
    gains = [expected_gains(model, one.details[None]) for one in better]
    return Calibration([(aim, _kept(better, gains, aim)) for aim in AIMS])


def _kept(seen: Sequence[Sample], gains: Sequence[Any], aim: float) -> float:
    """In mean PSNR, as a share of what restoring all of them in full gains."""
    selective, full = 0.0, 0.0
    for one, expected in zip(seen, gains, strict=True):
        treatment = choose(expected, aim)
        left, restored, halved = one.errors.double().numpy()
        selective += _db(left) - _db(np.select([treatment == FULL, treatment == HALF], [restored, halved], left))
        full += _db(left) - _db(restored)
    return selective / full if full else 1.0


def _db(errors: Any) -> float:
    return 10 * float(np.log10(errors.mean()))


def _telling(seen: Iterator[Sample], told: Callable[[int], None]) -> Iterator[Sample]:
    for number, one in enumerate(seen, 1):
        told(number)
        yield one
