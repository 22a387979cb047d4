"""Calibrating the choice for a network: which aim keeps which share of the full gain, on validation photographs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from baseline.data.loader import to_tensor
from baseline.data.photos import FOLDER, PAIR_SIZE
from baseline.data.pictures import list_pictures
from baseline.errors import UserError
from baseline.restorer import Restorer
from baseline.selective.choice import FULL, HALF, decide
from baseline.selective.score import Scores, per_cell, scores_of
from baseline.selective.windows import changes, window

WINDOWS = 40
"""Of the validation photographs, that are restored for a calibration; some are sharp and do not count."""

_AIMS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
_SEED = 74_001


@dataclass(frozen=True)
class Seen:
    """A window's scores, and the mean square errors of its cells left alone, in full and at half scale: 3,h,w."""

    scores: Scores
    errors: NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """For each aim, in rising order, the share of the full gain in dB that it kept, and its work as a part of all."""

    steps: list[tuple[float, float, float]]

    def aim_for(self, share: float) -> float:
        """The smallest aim that kept at least this share; a UserError if none did."""
        for aim, kept, _ in self.steps:
            if kept >= share:
                return aim
        best = max(kept for _, kept, _ in self.steps)
        raise UserError(
            f"--keep-gain must be at most {best:.3f} for this network, by its calibration; got {share}. Lower it."
        )

    def as_text(self, key: str) -> str:
        """As JSON; `key` is the checksum of the network that it was made for."""
        steps = [{"aim": aim, "kept": round(kept, 4), "work": round(work, 4)} for aim, kept, work in self.steps]
        return json.dumps({"network": key, "windows": WINDOWS, "steps": steps}, indent=1) + "\n"


def load_calibration(path: Path, key: str) -> Calibration | None:
    """What was saved for this network; None if there is nothing that can be read, or that of another network."""
    try:
        held: dict[str, Any] = json.loads(path.read_text())
        steps = [(float(step["aim"]), float(step["kept"]), float(step["work"])) for step in held["steps"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Calibration(steps) if held.get("network") == key else None


def calibrate(restorer: Restorer, model: nn.Module, told: Callable[[int], None] = lambda _: None) -> Calibration:
    """Restore `WINDOWS` windows, blurred all over or in part; `told` hears how many are done."""
    photos, seen = list_pictures(FOLDER / "val"), []
    for number in range(WINDOWS):
        _, blurred, sharp = window(photos, number, _SEED)
        picture, true = to_tensor(blurred)[None], to_tensor(sharp)[None]
        outcomes = [picture, *(picture + change for change in changes(restorer, picture))]
        errors = [per_cell((out - true).square().mean(dim=1, keepdim=True)) for out in outcomes]
        seen.append(Seen(scores_of(blurred, model), torch.cat(errors, dim=1)[0].double().numpy()))
        told(number + 1)
    return calibration_of(seen, PAIR_SIZE)


def calibration_of(seen: Sequence[Seen], size: tuple[int, int]) -> Calibration:
    """What each aim keeps of the gain over all windows of that size that restoring in full makes better."""
    better = [one for one in seen if _db(one.errors[1]) < _db(one.errors[0])]
    return Calibration([(aim, *_kept_and_work(better, size, aim)) for aim in _AIMS])


def _kept_and_work(seen: Sequence[Seen], size: tuple[int, int], aim: float) -> tuple[float, float]:
    """The share of the mean PSNR gained by restoring all of them in full, and of the work of that."""
    kept, full, work = 0.0, 0.0, 0.0
    for one in seen:
        decision = decide(one.scores, aim, size)
        left, restored, halved = one.errors
        chosen = np.select([decision.treatment == FULL, decision.treatment == HALF], [restored, halved], left)
        kept += _db(left) - _db(chosen)
        full += _db(left) - _db(restored)
        work += decision.work
    return (kept / full, work / len(seen)) if seen else (1.0, 1.0)


def _db(errors: NDArray[np.float64]) -> float:
    return 10 * float(np.log10(errors.mean()))
