"""What a prune stage leaves in a record's details, and how a report says it."""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_FEWER = {
    "params_cut": "fewer parameters",
    "macs_cut": "fewer MACs",
    "ratio": "fewer prunable channels",
    "latency_cut": "less latency",
}


def _finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


MaybeNumber = Annotated[float | None, BeforeValidator(_finite_or_none)]
"""A network that breaks without its channels may give no number at all."""


class CurvePoint(BaseModel):
    """A group pruned by itself: the share removed, and what that costs."""

    ratio: float
    psnr_loss_db: MaybeNumber
    output_change: MaybeNumber = None


class Curves(BaseModel):
    """The sensitivity of a network's groups, in the order of the record."""

    criterion: str
    crops: int
    crop: int
    psnr_db: MaybeNumber
    groups: dict[str, list[CurvePoint]]
    protected: dict[str, str] = Field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        """Every share that was tried of any group."""
        return sorted({point.ratio for points in self.groups.values() for point in points})

    def losses(self, group: str) -> dict[float, float]:
        """The PSNR lost in dB at each share, where there is a number."""
        return {p.ratio: p.psnr_loss_db for p in self.groups[group] if p.psnr_loss_db is not None}

    def most_sensitive_first(self) -> list[str]:
        """The groups by their loss at half of the channels, or at the middle one of the shares tried."""
        ratios = self.ratios
        middle = 0.5 if 0.5 in ratios else ratios[len(ratios) // 2] if ratios else 0.5
        return sorted(self.groups, key=lambda group: -self.losses(group).get(middle, math.inf))


class Width(BaseModel):
    """The channels of a group before pruning, as asked for, and as left."""

    name: str
    before: int = Field(gt=0)
    asked: float
    after: int

    @property
    def kept_percent(self) -> float:
        """The share of the channels that is left."""
        return 100 * self.after / self.before

    @property
    def rounded_from(self) -> str:
        """The width asked for, where rounding changed it."""
        return f"{self.asked:g}" if abs(self.asked - self.after) > 0.005 else ""


class PruneEntry(BaseModel):
    """The details of a prune stage. What a later version adds is kept as it is."""

    model_config = ConfigDict(extra="allow")

    asked: dict[str, float]
    achieved: dict[str, float]
    criterion: str
    allocation: str
    multiple: int
    widths: list[Width]
    protected: dict[str, str]
    largest_relative_error: float
    predicted: dict[str, float] = Field(default_factory=dict)
    measured: dict[str, float | str] = Field(default_factory=dict)
    sensitivity: Curves | None = None

    @property
    def headline(self) -> str:
        """What was asked for and what came of it, in a sentence."""
        achieved = {name: (cut, "") for name, cut in self.achieved.items()}
        for how in ("measured", "predicted"):
            for _, before, after in self.latencies(how):
                achieved.setdefault("latency_cut", (1 - after / before, f" ({how})"))
        order = sorted(achieved, key=lambda name: (name not in self.asked, [*_FEWER, name].index(name)))
        asked = _listed([_cut(name, cut) for name, cut in self.asked.items()])
        return f"Asked for {asked}; got {_listed([_cut(name, *achieved[name]) for name in order])}."

    def latencies(self, *hows: str) -> list[tuple[str, float, float]]:
        """How known, unpruned and pruned milliseconds."""
        found: dict[str, Mapping[str, float | str]] = {"predicted": self.predicted, "measured": self.measured}
        rows = [(how, found[how].get("unpruned_latency_ms"), found[how].get("latency_ms")) for how in hows or found]
        return [
            (how, float(before), float(after))
            for how, before, after in rows
            if before is not None and after is not None
        ]

    @property
    def not_timed_because(self) -> str:
        """Why a latency was not measured, if it was asked for and could not be."""
        return str(self.measured.get("missing", ""))

    @property
    def protected_by_reason(self) -> dict[str, list[str]]:
        """The groups left alone, by the reason."""
        return by_reason(self.protected)


def prune_entry(details: Mapping[str, Any]) -> PruneEntry | None:
    """The details as a prune stage's, or None if they are those of another stage or of an older version."""
    return PruneEntry.model_validate(details) if {"allocation", "widths", "predicted"} <= details.keys() else None


def by_reason(protected: Mapping[str, str]) -> dict[str, list[str]]:
    """Names with the same reason together."""
    reasons: dict[str, list[str]] = {}
    for name, reason in protected.items():
        reasons.setdefault(reason, []).append(name)
    return reasons


def _cut(name: str, cut: float, remark: str = "") -> str:
    """A cut in words: 0.3 of the parameters is 30.0% fewer, and -0.3 is 30.0% more."""
    if name == "latency_ms":
        return f"{cut:g} ms{remark}"
    less = _FEWER.get(name, f"less {name}")
    words = less if cut >= 0 else f"more {less.split(maxsplit=1)[1]}"
    return f"{100 * abs(cut):.1f}% {words}{remark}"


def _listed(parts: list[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else "".join(parts)
