"""Whether a latency may be believed: the verdict on the turns that it was taken in."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

Kind = Literal["rounds_disagree", "other_load", "clock_changed"]

LIMITS: dict[Kind, float] = {"rounds_disagree": 0.1, "other_load": 0.05, "clock_changed": 0.08}
"""The most that a calm timing shows of each, as a share.

`rounds_disagree`: the range of the turns' medians, of their median. `other_load`: the processor time that other
processes took meanwhile, of all that there was. `clock_changed`: the range of the times that one fixed computation took
in each turn, of their median.
"""


@dataclass(frozen=True)
class Turn:
    """One turn of a target: milliseconds of each call and of a fixed computation, and the share that others took."""

    times_ms: list[float]
    pace_ms: float
    other_load: float


@dataclass(frozen=True)
class NoiseReason:
    """What made a timing noisy: how much of it there was, and the most that a calm timing shows."""

    kind: Kind
    value: float
    limit: float


@dataclass(frozen=True)
class Noise:
    """The verdict on one latency, which was taken so many times until it was calm, or for the last time."""

    noisy: bool
    reasons: tuple[NoiseReason, ...] = ()
    takes: int = 1


def noise_of(turns: Sequence[Turn], takes: int = 1) -> Noise:
    """The verdict on the turns of one target; a single turn cannot disagree."""
    found: dict[Kind, float] = {
        "rounds_disagree": _range_share([median(turn.times_ms) for turn in turns]),
        "other_load": fmean(turn.other_load for turn in turns),
        "clock_changed": _range_share([turn.pace_ms for turn in turns]),
    }
    reasons = tuple(NoiseReason(kind, share, LIMITS[kind]) for kind, share in found.items() if share > LIMITS[kind])
    return Noise(bool(reasons), reasons, takes)


def _range_share(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / median(values)
