"""One measured number with its unit, direction and conditions, or the reason for none; means. Never imports torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Direction = Literal["lower", "higher", "none"]
"""Which way is better."""

_RESAMPLES = 2000


class Measurement(BaseModel):
    """Either a value or the reason why there is none. `ci95` is the 95% interval of the value."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float | None = Field(default=None, description="the number; null: see `missing`")
    unit: str = Field(description="the unit of `value`; empty for a count or a share")
    direction: Direction = Field(description="which way is better")
    conditions: str = Field(default="", description="how this number was measured")
    ci95: tuple[float, float] | None = Field(default=None, description="the 95% interval of `value`, low and high end")
    missing: str | None = Field(default=None, description="why there is no value")

    @model_validator(mode="after")
    def _value_or_reason(self) -> "Measurement":
        if (self.value is None) == (self.missing is None):
            raise ValueError("a measurement has either a value or the reason why it is missing")
        return self


class Metric(BaseModel):
    """What a metric's key stands for."""

    model_config = ConfigDict(frozen=True)

    title: str
    unit: str
    direction: Direction
    decimals: int = 2

    def measured(self, value: float, conditions: str, ci95: tuple[float, float] | None = None) -> Measurement:
        """A value of this metric."""
        return Measurement(value=value, unit=self.unit, direction=self.direction, conditions=conditions, ci95=ci95)

    def lacking(self, reason: str) -> Measurement:
        """This metric without a value."""
        return Measurement(unit=self.unit, direction=self.direction, missing=reason)


METRICS: dict[str, Metric] = {
    "params": Metric(title="Parameters", unit="", direction="lower", decimals=0),
    "macs": Metric(title="MACs", unit="", direction="lower", decimals=0),
    "weights_mb": Metric(title="Weights", unit="MB", direction="lower"),
    "file_mb": Metric(title="File", unit="MB", direction="lower"),
    "psnr_db": Metric(title="PSNR", unit="dB", direction="higher"),
    "ssim": Metric(title="SSIM", unit="", direction="higher", decimals=4),
    "lpips": Metric(title="LPIPS", unit="", direction="lower", decimals=4),
    # 1 is as sharp as the truth: less is blurred, more is overdone.
    "edge_sharpness": Metric(title="Edge sharpness", unit="", direction="none", decimals=3),
    "psnr_loss_db": Metric(title="PSNR loss", unit="dB", direction="lower"),
    "gain_kept": Metric(title="Gain kept", unit="", direction="higher", decimals=3),
}
"""Every metric by its key, in the order of the report's columns."""


@dataclass(frozen=True)
class Mean:
    """The mean over pictures, with its 95% interval if it has one."""

    mean: float
    ci95: tuple[float, float] | None

    @property
    def beyond_zero(self) -> bool | None:
        """Whether the whole interval lies on one side of zero; None without an interval."""
        return None if self.ci95 is None else not self.ci95[0] <= 0 <= self.ci95[1]


def mean_of(values: Sequence[float], groups: Sequence[str]) -> Mean:
    """The mean of one value a picture, its interval bootstrapped by the pictures' groups."""
    return Mean(float(np.mean(values)), bootstrap_interval(values, groups))


def bootstrap_interval(values: Sequence[float], groups: Sequence[str]) -> tuple[float, float] | None:
    """The 95% interval of the mean, resampling whole groups: crops of one photograph are not independent.

    None for a single group, which says nothing of the spread.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        return None
    sums = np.zeros(len(names))
    counts = np.zeros(len(names))
    for value, group in zip(values, groups, strict=True):
        sums[names.index(group)] += value
        counts[names.index(group)] += 1
    drawn: NDArray[np.int64] = np.random.default_rng(0).integers(len(names), size=(_RESAMPLES, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
