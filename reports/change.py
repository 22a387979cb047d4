"""One number in two runs: its difference, and what that amounts to."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from baseline.measurement import Direction

Verdict = Literal["better", "worse", "changed", "within noise", "same", "not comparable"]

Interval = tuple[float, float]


class NumberChange(BaseModel):
    """One number of a variant, old and new. What is not comparable says why; so does a number that is gone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: str = Field(description="the variant's name in both runs")
    what: str = Field(description="the metric's key, the latency's place, a gate, or status")
    unit: str = Field(default="", description="the unit of all values")
    old: float | None = Field(default=None, description="the old value")
    new: float | None = Field(default=None, description="the new value")
    difference: float | None = Field(
        default=None, description="new - old, if they are comparable; of quality, the mean over paired pictures"
    )
    ci95: Interval | None = Field(
        default=None, description="of quality: the 95% interval of `difference`, by photograph"
    )
    old_range: Interval | None = Field(default=None, description="of a latency: the old p10 and p90")
    new_range: Interval | None = Field(default=None, description="of a latency: the new p10 and p90")
    verdict: Verdict = Field(
        description="better, worse or changed (no direction is better): the difference exceeds noise. same: equal in "
        "the digits that a report shows"
    )
    reason: str = Field(default="", description="why it is not comparable, or what the verdict rests on")

    def judged(self, verdict: Verdict, reason: str = "") -> "NumberChange":
        """The same numbers with a verdict; a difference of what is not comparable means nothing, and is left out."""
        void = {"difference": None, "ci95": None} if verdict == "not comparable" else {}
        return self.model_copy(update={"verdict": verdict, "reason": reason, **void})


def beyond_noise(difference: float, direction: Direction) -> Verdict:
    """What a difference amounts to that exceeds noise."""
    if direction == "none":
        return "changed"
    return "better" if (difference < 0) == (direction == "lower") else "worse"
