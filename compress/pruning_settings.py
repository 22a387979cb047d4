"""What pruning may be told. Checked when built; importing this never imports torch."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from baseline.settings import Settings, Share
from compress.criteria import CRITERIA
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

    The defaults are the best that was measured: Fisher importance, widths by sensitivity, and widths that kernels like.
    """

    ratio: Share | None = None
    params_cut: Share | None = None
    macs_cut: Share | None = None
    latency_cut: Share | None = None
    latency_ms: float | None = Field(default=None, gt=0, description="milliseconds to reach, by the clock")
    criterion: str = "fisher"
    widths: str = Field(default="sensitivity", description="how the cut is shared out between the layers")
    multiple: int = Field(
        default=0, ge=0, description="widths are rounded to multiples of it; 0: of 16, of 8 below 32 channels"
    )
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
