"""What training and data may be told. Checked when built, in the first second; importing this never imports torch."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from baseline.networks.zoo import check_arguments


def _between_0_and_1(value: Any) -> Any:
    if isinstance(value, int | float) and not 0 < value < 1:
        raise ValueError(f"must lie between 0 and 1, such as 0.3; got {value}")
    return value


Share = Annotated[float, BeforeValidator(_between_0_and_1), Field(gt=0, lt=1)]
"""A share of a whole, strictly between 0 and 1."""


class Settings(BaseModel):
    """The base of every settings object: immutable, and a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def starts_anew(self) -> bool:
        """Whether a stage with these settings makes a network of its own instead of taking what came before."""
        return False


class DataSettings(Settings):
    """Which pictures: the shipped photographs, or a data set in a folder of the user's."""

    name: str = "photos"
    root: Path | None = None
    cache_mb: int = Field(default=1024, ge=0, description="memory for decoded training pictures; 0: none")


class FitSettings(Settings):
    """The training loop. `batch` is the global batch, `crop` the side of the square crops in pixels."""

    steps: int = Field(gt=0)
    batch: int = Field(default=8, gt=0)
    crop: int = Field(default=96, ge=16, multiple_of=4)
    lr: float = Field(default=8e-4, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of the steps in which the rate rises to `lr`")
    clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    ema: float = Field(default=0.999, ge=0, lt=1, description="decay of the moving average of the weights; 0: none")
    frequency_weight: float = Field(default=0.1, ge=0, description="weight of the frequency loss beside L1")
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = Field(default=0, ge=0)
    workers: int = Field(default=1, ge=0, description="loader processes; the samples are the same for any number")
    checkpoint_every: int = Field(default=100, gt=0)
    validate_every: int = Field(default=1000, gt=0)


class TrainSettings(FitSettings):
    """The train stage: a network from scratch if one is named, otherwise fine-tuning of what came before."""

    network: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)

    @property
    def starts_anew(self) -> bool:
        """Whether a network is named."""
        return self.network is not None

    @model_validator(mode="after")
    def _network_takes_its_arguments(self) -> "TrainSettings":
        if self.network is not None:
            check_arguments(self.network, self.arguments)
        elif self.arguments:
            raise ValueError("arguments go with a network's name; network is not set")
        return self
