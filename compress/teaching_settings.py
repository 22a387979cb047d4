"""What a training with a teacher may be told. Checked when built; importing this never imports torch."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from baseline.settings import FitSettings, LossSettings
from compress.students import student_plan


class TaughtSettings(FitSettings):
    """Training on the sharp pictures and on the teacher's outputs, each at all scales and in the terms of `loss`."""

    sharp_weight: float = Field(default=1.0, ge=0, description="weight of the sharp pictures as target")
    teacher_weight: float = Field(default=1.0, ge=0, description="weight of the teacher's outputs as second target")
    teacher_loss: LossSettings | None = Field(
        default=None, description="terms against the teacher's outputs; none: those of loss"
    )

    @property
    def uses_teacher(self) -> bool:
        """The teacher's outputs are a target."""
        return True

    @property
    def losses(self) -> list[LossSettings]:
        """Those against the sharp pictures, and those against the teacher's outputs."""
        return [self.loss, *([self.teacher_loss] if self.teacher_loss else [])]

    @model_validator(mode="after")
    def _something_is_taught(self) -> "TaughtSettings":
        if not self.taught_weight:
            raise ValueError("the teacher must have a weight above 0; without it, the stage is train")
        return self

    @property
    def taught_weight(self) -> float:
        """The weight of everything that the teacher says."""
        return self.teacher_weight


class DistillSettings(TaughtSettings):
    """The distill stage: train a student to give the teacher's outputs, to see what it sees, and to be right."""

    student: str | None = Field(default=None, description="a student's name; without one, what came before is taught")
    arguments: dict[str, Any] = Field(default_factory=dict, description="of the student's network, over its defaults")
    features_weight: float = Field(default=0.0, ge=0, description="weight of the teacher's features, through adapters")
    features: Literal["scales"] | dict[str, str] = Field(
        default="scales",
        description="which features: a student's layer: a teacher's layer, ...; scales: the last layer of each scale",
    )
    warm_start: bool | None = Field(
        default=None,
        description="begin with the teacher's most important channels where layers fit; none: if any does",
    )

    @property
    def taught_weight(self) -> float:
        """That of outputs and features."""
        return self.teacher_weight + self.features_weight

    @property
    def compares_layers(self) -> bool:
        """Whether layers of student and teacher must fit each other."""
        return bool(self.warm_start) or self.features_weight > 0

    @property
    def starts_anew(self) -> bool:
        """Whether a student is named."""
        return self.student is not None

    @field_validator("features", mode="before")
    @classmethod
    def _features_are_scales_or_pairs(cls, given: Any) -> Any:
        if given != "scales" and not isinstance(given, dict):
            raise ValueError(f"must be scales, or a mapping {{STUDENT_LAYER: TEACHER_LAYER}}; got {given!r}")
        return given

    @model_validator(mode="after")
    def _student_takes_its_arguments(self) -> "DistillSettings":
        if self.student is not None:
            student_plan(self.student, ("mimo-unet", {}), self.arguments)
        elif self.arguments:
            raise ValueError("arguments go with a student's name; student is not set")
        if self.warm_start and self.student is None:
            raise ValueError("warm_start goes with a student's name; what came before has its weights")
        if "features" in self.model_fields_set and not self.features_weight:
            raise ValueError("features go with a features_weight above 0, such as 0.1")
        if not self.features:
            raise ValueError("features must be scales, or name at least one student's layer: teacher's layer")
        return self
