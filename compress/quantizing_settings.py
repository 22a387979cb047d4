"""What quantizing may be told. Checked when built; importing this never imports torch."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from baseline.settings import Settings
from compress.calibration import CALIBRATIONS
from compress.quantize import SCHEMES
from compress.teaching_settings import TaughtSettings


class AwareSettings(TaughtSettings):
    """Quantization-aware training: short and gentle, since the network is trained already."""

    steps: int = Field(default=300, gt=0)
    lr: float = Field(default=1e-4, gt=0)
    ema: float = Field(default=0.99, ge=0, lt=1, description="decay of the moving average of the weights; 0: none")


class QuantizeSettings(Settings):
    """The quantize stage. Calibration uses training crops only."""

    scheme: str
    calibration: str = Field(default="histogram", description="how ranges are found: lightsharp ls calibrations")
    crops: int = Field(default=32, gt=0, description="calibration crops")
    crop: int = Field(default=256, ge=32, multiple_of=4)
    seed: int = Field(default=0, ge=0)
    sums: Literal["float", "int8"] = Field(
        default="float",
        description="int8: sums and all between the layers are rounded, too, as onnxruntime needs it",
    )
    max_loss_db: float = Field(default=0.05, gt=0, description="of int8-mixed: PSNR on training crops")
    train: AwareSettings | None = Field(default=None, description="of int8-qat; none: its defaults")

    @field_validator("scheme")
    @classmethod
    def _scheme_exists(cls, name: str) -> str:
        SCHEMES[name]
        return name

    @field_validator("calibration")
    @classmethod
    def _calibration_exists(cls, name: str) -> str:
        CALIBRATIONS[name]
        return name

    @model_validator(mode="after")
    def _options_fit_the_scheme(self) -> "QuantizeSettings":
        if self.train is not None and not SCHEMES[self.scheme].trains:
            raise ValueError(f"train goes with a scheme that trains, such as int8-qat; scheme is {self.scheme}")
        given = {"calibration", "sums"} & self.model_fields_set
        if given and SCHEMES[self.scheme].dtype != "int8":
            raise ValueError(f"{' and '.join(sorted(given))} must go with an int8 scheme; scheme is {self.scheme}")
        if "max_loss_db" in self.model_fields_set and self.scheme != "int8-mixed":
            raise ValueError(f"max_loss_db must go with scheme int8-mixed; scheme is {self.scheme}")
        return self

    @property
    def uses_teacher(self) -> bool:
        """The teacher guides schemes that train."""
        return SCHEMES[self.scheme].trains

    @property
    def training(self) -> AwareSettings:
        """The training of schemes that train."""
        return self.train or AwareSettings()
