"""What the compressing verbs may be told. Checked when built; importing this never imports torch."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from baseline.settings import FitSettings, LossSettings, Settings, Share
from compress.calibration import CALIBRATIONS
from compress.criteria import CRITERIA
from compress.quantize import SCHEMES
from compress.runtimes.table import RUNTIMES, check_file_runtime
from compress.students import student_plan
from compress.widths import ALLOCATIONS

PRUNING_TARGETS = ("ratio", "params_cut", "macs_cut", "latency_cut", "latency_ms")
"""What pruning may be asked for: shares of channels, parameters, MACs, latency to remove, or milliseconds to reach."""

SENSITIVITY_CROPS = 12
"""On how many of the training crops at most the sensitivity curves are taken: each of their points is a pass."""

Side = Annotated[int, Field(ge=16)]
"""Height or width of a picture in pixels."""


class LatencyPlace(Settings):
    """Where latency is to fall: the device, its arithmetic, CPU threads (none: torch's own), height and width."""

    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["fp32", "fp16"] = "fp32"
    threads: int | None = Field(default=None, gt=0)
    size: tuple[Side, Side] = (256, 256)

    @model_validator(mode="after")
    def _can_be_timed(self) -> "LatencyPlace":
        if (self.device, self.dtype) == ("cpu", "fp16"):
            raise ValueError(
                "dtype must be fp32 on a CPU; got fp16. Narrower layers are faster in INT8 and FP16, too: choose for "
                "fp32, and quantize after"
            )
        return self


class PruneSettings(Settings):
    """The prune stage: how much, one of `ratio` (of channels), a cut (a share to remove) and `latency_ms`; and where.

    `multiple` of 0 is what the device likes where latency is asked for, and 1 elsewhere.
    """

    ratio: Share | None = None
    params_cut: Share | None = None
    macs_cut: Share | None = None
    latency_cut: Share | None = None
    latency_ms: float | None = Field(default=None, gt=0, description="milliseconds to reach, by the clock")
    criterion: str = "l2"
    widths: str = Field(default="uniform", description="how the cut is shared out between the layers")
    multiple: int = Field(default=0, ge=0, description="widths are rounded to multiples of it; 0: by the device")
    floor: Share = Field(default=0.1, description="the least share that a layer keeps; not of uniform widths")
    crops: int = Field(
        default=32, gt=0, description=f"training crops that are looked at; sensitivity: the first {SENSITIVITY_CROPS}"
    )
    crop: int = Field(default=96, ge=32, multiple_of=4)
    latency: LatencyPlace = LatencyPlace()
    seed: int = Field(default=0, ge=0, description="of the crops, and of criteria that draw lots")

    @field_validator("criterion")
    @classmethod
    def _criterion_exists(cls, name: str) -> str:
        CRITERIA[name]
        return name

    @field_validator("widths")
    @classmethod
    def _allocation_exists(cls, name: str) -> str:
        ALLOCATIONS[name]
        return name

    @model_validator(mode="after")
    def _exactly_one_target(self) -> "PruneSettings":
        given = [name for name in PRUNING_TARGETS if getattr(self, name) is not None]
        if len(given) != 1:
            known, got = ", ".join(PRUNING_TARGETS), ", ".join(given) or "none"
            raise ValueError(f"exactly one of {known} must be set; got {got}")
        return self

    @property
    def target(self) -> tuple[str, float]:
        """The one target that is set, and its share."""
        return next((name, getattr(self, name)) for name in PRUNING_TARGETS if getattr(self, name) is not None)

    @property
    def looks_at_crops(self) -> bool:
        """Whether the result depends on training crops."""
        return CRITERIA[self.criterion].needs_data or ALLOCATIONS[self.widths].needs_curves

    @property
    def depends_on_machine(self) -> bool:
        """Latencies hold for the machine on which they were taken."""
        return self.target[0] in ("latency_cut", "latency_ms")


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
    warm_start: bool = Field(
        default=False, description="begin with the teacher's most important channels where the student has such layers"
    )

    @property
    def taught_weight(self) -> float:
        """That of outputs and features."""
        return self.teacher_weight + self.features_weight

    @property
    def compares_layers(self) -> bool:
        """Whether layers of student and teacher must fit each other."""
        return self.warm_start or self.features_weight > 0

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


class ExportSettings(Settings):
    """The export stage: a file for a runtime. `size` traces the network; the file takes any size if the runtime can."""

    runtime: str = "aoti"
    size: tuple[int, int] = (256, 256)

    @field_validator("runtime")
    @classmethod
    def _runtime_has_files(cls, name: str) -> str:
        check_file_runtime(name)
        return name

    @property
    def packages(self) -> tuple[str, ...]:
        """Those of the runtime."""
        return RUNTIMES[self.runtime].packages
