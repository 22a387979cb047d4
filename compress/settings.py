"""What the compressing verbs may be told. Checked when built; importing this never imports torch."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from baseline.settings import FitSettings, Settings, Share
from compress.criteria import CRITERIA
from compress.quantize import SCHEMES
from compress.runtimes.table import check_file_runtime
from compress.students import student_plan


class PruneSettings(Settings):
    """The prune stage: exactly one of `ratio` (of channels), `params_cut` and `macs_cut` (shares to remove)."""

    ratio: Share | None = None
    params_cut: Share | None = None
    macs_cut: Share | None = None
    criterion: str = "l2"
    seed: int = Field(default=0, ge=0, description="of criteria that draw lots")

    @field_validator("criterion")
    @classmethod
    def _criterion_exists(cls, name: str) -> str:
        CRITERIA[name]
        return name

    @model_validator(mode="after")
    def _exactly_one_target(self) -> "PruneSettings":
        given = [name for name in ("ratio", "params_cut", "macs_cut") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"exactly one of ratio, params_cut, macs_cut must be set; got {', '.join(given) or 'none'}"
            )
        return self


class DistillSettings(FitSettings):
    """The distill stage: train a student to give the teacher's outputs, and to be right."""

    student: str | None = Field(default=None, description="a student's name; without one, what came before is taught")
    arguments: dict[str, Any] = Field(default_factory=dict, description="of the student's network, over its defaults")
    teacher_weight: float = Field(default=1.0, gt=0, description="weight of the teacher's outputs as second target")

    @property
    def starts_anew(self) -> bool:
        """Whether a student is named."""
        return self.student is not None

    @model_validator(mode="after")
    def _student_takes_its_arguments(self) -> "DistillSettings":
        if self.student is not None:
            student_plan(self.student, ("mimo-unet", {}), self.arguments)
        elif self.arguments:
            raise ValueError("arguments go with a student's name; student is not set")
        return self


class QuantizeSettings(Settings):
    """The quantize stage. Calibration uses training crops only."""

    scheme: str
    crops: int = Field(default=32, gt=0, description="calibration crops")
    crop: int = Field(default=256, ge=32, multiple_of=4)
    seed: int = Field(default=0, ge=0)

    @field_validator("scheme")
    @classmethod
    def _scheme_exists(cls, name: str) -> str:
        SCHEMES[name]
        return name


class ExportSettings(Settings):
    """The export stage: a file for a runtime. `size` traces the network; the file takes any size if the runtime can."""

    runtime: str = "aoti"
    size: tuple[int, int] = (256, 256)

    @field_validator("runtime")
    @classmethod
    def _runtime_has_files(cls, name: str) -> str:
        check_file_runtime(name)
        return name
