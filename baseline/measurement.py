"""One measured number with its unit, direction and conditions, or the reason why it is missing. Never imports torch."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

Direction = Literal["lower", "higher", "none"]
"""Which way is better."""


class Measurement(BaseModel):
    """Either a value or the reason why there is none. `ci95` is the 95% interval of the value."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float | None = None
    unit: str
    direction: Direction
    conditions: str = ""
    ci95: tuple[float, float] | None = None
    missing: str | None = None

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
