"""What a run leaves behind: the contents of `record.json` (one variant) and of `report.json` (all of them)."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from baseline.measurement import Measurement


class _Entry(BaseModel):
    # JSON has no NaN or infinity: one must fail where it is recorded, not where the report is read.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class LatencyRow(_Entry):
    """The time of one forward pass on one runtime and device, or the reason why there is none."""

    runtime: str
    device: str
    dtype: str
    threads: int
    batch: int
    size: tuple[int, int]
    median_ms: float | None = None
    p10_ms: float | None = None
    p90_ms: float | None = None
    file: str | None = Field(default=None, description="the deployable that was timed; none: a network in memory")
    missing: str | None = None
    network: str | None = Field(default=None, description="what was timed, where a list of rows holds several")
    cuda_graphs: bool | None = Field(default=None, description="whether the GPU replayed a graph; none: no such choice")
    fastest: bool = Field(default=False, description="the fastest of its network's rows in the same run")
    peak_mb: float | None = Field(default=None, description="memory at its height, in a process of its own")
    peak_missing: str | None = None

    @property
    def pictures_per_s(self) -> float | None:
        """Throughput at the median latency."""
        return None if self.median_ms is None else 1000 * self.batch / self.median_ms

    @property
    def megapixels_per_s(self) -> float | None:
        """Throughput in 10^6 pixels of height times width."""
        pictures = self.pictures_per_s
        return None if pictures is None else pictures * self.size[0] * self.size[1] / 1e6


class Effort(_Entry):
    """What it took to make a variant, over all stages of its chain."""

    steps: int = 0
    minutes: float = 0.0
    pictures: int = Field(default=0, description="training and calibration crops drawn")


class GateVerdict(_Entry):
    """A limit, what was measured against it, and whether it holds; `passed` is None if it could not be judged."""

    gate: str
    limit: float
    measured: float | None
    passed: bool | None
    reason: str = ""


class PictureRow(_Entry):
    """One test picture as this variant restored it."""

    name: str
    group: str
    psnr_db: float
    ssim: float
    lpips: float | None = None
    edge_sharpness: float | None = None
    note: str = Field(default="", description="what a reader of this picture's numbers must know")


class Variant(_Entry):
    """One row of the report: the teacher or a variant. `details` holds each stage's own findings."""

    name: str
    chain: list[str] = Field(default_factory=list)
    metrics: dict[str, Measurement] = Field(default_factory=dict)
    latency: list[LatencyRow] = Field(default_factory=list)
    effort: Effort = Field(default_factory=Effort)
    missing: dict[str, str] = Field(default_factory=dict)
    gates: list[GateVerdict] = Field(default_factory=list)
    details: list[dict[str, Any]] = Field(default_factory=list)
    pictures: list[PictureRow] = Field(default_factory=list)
    status: Literal["done", "failed"] = "done"
    error: str | None = None


class RunInfo(_Entry):
    """What all rows of a run have in common."""

    name: str
    description: str
    data: str
    teacher: str | None = Field(default=None, description="the network that the recipe names as teacher, if it does")
    conditions: list[str] = Field(default_factory=list, description="how quality and cost were measured, a line each")
    environment: dict[str, str] = Field(default_factory=dict)
    command: str = ""
    blurred_psnr_db: float | None = None
    blurred_ssim: float | None = None
    blurred_lpips: float | None = None
    blurred_edge_sharpness: float | None = None
    blurred_pictures: list[PictureRow] = Field(default_factory=list)
    sample_pictures: list[str] = Field(default_factory=list, description="names of the test pictures kept as files")


class Report(_Entry):
    """The content of `report.json`."""

    run: RunInfo
    teacher: Variant
    variants: list[Variant]
