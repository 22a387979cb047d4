"""Calibrating the choice for a network: which price keeps which share of the full gain, on validation photographs."""

import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from baseline.data.photos import FOLDER
from baseline.data.pictures import list_pictures
from baseline.errors import UserError
from baseline.restorer import Restorer, fitting_size
from baseline.selective.choice import CALL, decide
from baseline.selective.score import CELL, Gains, gains_of
from baseline.selective.windows import cell_errors, photograph

PICTURES = 24
"""That are restored for a calibration: each validation photograph three times, differently blurred."""

_PRICES = tuple(float(price) for price in np.geomspace(32, 0.125, 33))
_SEED = 74_001


@dataclass(frozen=True)
class Seen:
    """What is expected of a picture of height x width, and what came.

    `errors` are the mean square errors of its cells left alone and restored at each scale: 1+scales,h,w.
    """

    gains: Gains
    errors: NDArray[np.float32]
    size: tuple[int, int]


@dataclass(frozen=True)
class Calibration:
    """For each price, falling, the share of the full gain in dB that was kept, and the work as a part of all."""

    steps: list[tuple[float, float, float]]
    call: float = CALL
    """What a call costs this network, in cells."""

    def price_for(self, share: float) -> float:
        """The highest price that, like every lower one, kept this share; a UserError if there is none."""
        enough = list(itertools.takewhile(lambda step: step[1] >= share, reversed(self.steps)))
        if enough:
            return enough[-1][0]
        best = max(kept for _, kept, _ in self.steps)
        raise UserError(
            f"--keep-gain must be at most {best:.3f} for this network, by its calibration; got {share}. Lower it."
        )

    def as_text(self, key: str) -> str:
        """As JSON; `key` is the checksum of the network that it was made for."""
        steps = [{"price": price, "kept": kept, "work": work} for price, kept, work in self.steps]
        rounded = [{name: float(f"{value:.4g}") for name, value in step.items()} for step in steps]
        return (
            json.dumps({"network": key, "pictures": PICTURES, "call": round(self.call, 1), "steps": rounded}, indent=1)
            + "\n"
        )


def load_calibration(path: Path, key: str) -> Calibration | None:
    """What was saved for this network; None if there is nothing that can be read, or that of another network."""
    try:
        held: dict[str, Any] = json.loads(path.read_text())
        call = float(held["call"])
        steps = [(float(step["price"]), float(step["kept"]), float(step["work"])) for step in held["steps"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Calibration(steps, call) if held.get("network") == key else None


def calibrate(restorer: Restorer, model: nn.Module, told: Callable[[int], None] = lambda _: None) -> Calibration:
    """Restore `PICTURES` photographs, blurred in part or all over; `told` hears how many are done."""
    photos, seen = list_pictures(FOLDER / "val"), []
    for number in range(PICTURES):
        blurred, sharp = photograph(photos, number, _SEED)
        size = blurred.shape[0], blurred.shape[1]
        seen.append(Seen(gains_of(blurred, model), cell_errors(restorer, blurred, sharp), size))
        told(number + 1)
    return calibration_of(seen, call_cost(restorer))


def call_cost(restorer: Restorer) -> float:
    """What a call with a picture of a new size costs beside its pixels, in cells.

    Next to nothing for a network in memory; OpenVINO prepares itself for each size in some 25 ms, which is as much as
    a fifth of a megapixel in INT8.
    """
    unit = fitting_size((CELL, CELL), restorer.size_multiple, restorer.min_size)[0]
    large = 16 * unit
    pixel_s = min(_seconds(restorer, large, large) for _ in range(4)) / large**2
    small = [_seconds(restorer, 2 * unit, width * unit) - 2 * unit * width * unit * pixel_s for width in range(3, 12)]
    return max(0.0, statistics.median(small)) / (pixel_s * CELL**2)


def _seconds(restorer: Restorer, height: int, width: int) -> float:
    picture = torch.zeros(1, 3, height, width)
    began = time.perf_counter()
    restorer(picture)
    return time.perf_counter() - began


def calibration_of(seen: Sequence[Seen], call: float = CALL) -> Calibration:
    """What each price keeps of the gain over all pictures that restoring in full makes better."""
    better = [one for one in seen if _db(one.errors[1]) < _db(one.errors[0])]
    return Calibration([(price, *_kept_and_work(better, price, call)) for price in _PRICES], call)


def _kept_and_work(seen: Sequence[Seen], price: float, call: float) -> tuple[float, float]:
    """The share of the mean PSNR gained by restoring all of them in full, and of the work of that."""
    kept, full, work = 0.0, 0.0, 0.0
    for one in seen:
        decision = decide(one.gains, price, one.size, call)
        left, restored = one.errors[:2]
        chosen = np.take_along_axis(one.errors, decision.treatment[None].astype(np.int64), axis=0)[0]
        kept += _db(left) - _db(chosen)
        full += _db(left) - _db(restored)
        work += decision.work
    return (kept / full, work / len(seen)) if seen else (1.0, 1.0)


def _db(errors: NDArray[np.float32]) -> float:
    return 10 * float(np.log10(errors.mean()))
