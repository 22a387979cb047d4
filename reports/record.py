"""What a run leaves behind: the contents of `record.json` (one variant) and of `report.json` (all of them)."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from baseline.measurement import METRICS, Measurement

RUN_MARK = ": "
"""What stands between a run's name and a key of its environment, in a report of several runs."""


class _Entry(BaseModel):
    # JSON has no NaN or infinity: one must fail where it is recorded, not where the report is read.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class NoiseReason(_Entry):
    """What made a timing noisy, as a share, and the most of it that a calm timing shows."""

    kind: Literal["rounds_disagree", "other_load", "clock_changed"] = Field(
        description="rounds_disagree: the range of the turns' medians, of their median; other_load: the processor "
        "time that other processes took, of all; clock_changed: the range of the times that a fixed computation took"
    )
    value: float = Field(description="how much of it there was")
    limit: float = Field(description="the most that a calm timing shows")


class Noise(_Entry):
    """The verdict on a latency."""

    noisy: bool = Field(description="whether it may be far from what the same takes on an idle machine")
    reasons: list[NoiseReason] = Field(default_factory=list, description="why it is noisy")
    takes: int = Field(default=1, description="how often it was timed, until it was calm or given up")


class LatencyRow(_Entry):
    """The time of one forward pass on one runtime and device, or the reason why there is none."""

    runtime: str = Field(description="what ran it: a name of `lightsharp ls runtimes`")
    device: str = Field(description="cpu or cuda")
    dtype: str = Field(
        description="fp32; int8, in which most layers compute; bf16 or fp16, in which weights are kept, and in which "
        "a device computes where it is faster so, else in fp32"
    )
    threads: int = Field(description="threads of the processor; 0 where nothing was timed")
    batch: int = Field(description="pictures in one pass")
    size: tuple[int, int] = Field(description="height and width of a picture in pixels")
    median_ms: float | None = Field(default=None, description="median time of one pass; null: see `missing`")
    p10_ms: float | None = Field(default=None, description="a tenth of the passes took less")
    p90_ms: float | None = Field(default=None, description="a tenth of the passes took more")
    noise: Noise | None = Field(default=None, description="whether the times may be believed; null: not judged")
    file: str | None = Field(default=None, description="the deployable that was timed; none: a network in memory")
    missing: str | None = Field(default=None, description="why nothing was timed")
    network: str | None = Field(default=None, description="what was timed, where a list of rows holds several")
    machine: str | None = Field(default=None, description="where it was timed, in a report of several runs")
    cuda_graphs: bool | None = Field(default=None, description="whether the GPU replayed a graph; none: no such choice")
    fastest: bool = Field(default=False, description="the fastest of its network's rows in the same run")
    peak_mb: float | None = Field(default=None, description="memory at its height, in a process of its own")
    peak_missing: str | None = Field(default=None, description="why `peak_mb` is not known")

    @property
    def pictures_per_s(self) -> float | None:
        """Throughput at the median latency."""
        return None if self.median_ms is None else 1000 * self.batch / self.median_ms

    @property
    def megapixels_per_s(self) -> float | None:
        """Throughput in 10^6 pixels of height times width."""
        pictures = self.pictures_per_s
        return None if pictures is None else pictures * self.size[0] * self.size[1] / 1e6


class FileSize(_Entry):
    """The size of one deployable."""

    runtime: str = Field(description="the runtime that loads it")
    size_mb: float = Field(description="its size in 10^6 bytes, with all that lies beside it")
    run: str | None = Field(default=None, description="which run wrote it, in a report of several runs")


class Effort(_Entry):
    """What it took to make a variant, over all stages of its chain."""

    steps: int = Field(default=0, description="training steps")
    minutes: float = Field(default=0.0, description="minutes on the machine of the run")
    pictures: int = Field(default=0, description="training and calibration crops drawn")


class GateVerdict(_Entry):
    """A limit, what was measured against it, and whether it holds; `passed` is None if it could not be judged."""

    gate: str = Field(description="the gate's name in the recipe; that of a latency also says where it was timed")
    limit: float = Field(description="the least allowed value if the name begins with min_, or else the largest")
    measured: float | None = Field(description="what was measured against the limit; null: nothing was")
    passed: bool | None = Field(description="whether the limit holds; null: it could not be judged")
    reason: str = Field(default="", description="why it could not be judged")


class PictureRow(_Entry):
    """One test picture as this variant restored it."""

    name: str = Field(description="the picture's name in its data set")
    group: str = Field(description="the photograph or sequence that it was cut from")
    psnr_db: float = Field(description="peak signal-to-noise ratio in dB; more is better")
    ssim: float = Field(description="structural similarity, at most 1; more is better")
    lpips: float | None = Field(default=None, description="perceptual distance, 0 for an equal picture")
    edge_sharpness: float | None = Field(default=None, description="gradient on edges relative to the sharp picture's")
    note: str = Field(default="", description="what a reader of this picture's numbers must know")


class Variant(_Entry):
    """One row of the report: the teacher or a variant. `details` holds each stage's own findings."""

    name: str = Field(description="the variant's name in the recipe, or teacher")
    chain: list[str] = Field(default_factory=list, description="its stages in order, each with its settings")
    metrics: dict[str, Measurement] = Field(
        default_factory=dict, description=f"cost and quality, by key: {', '.join(METRICS)}"
    )
    latency: list[LatencyRow] = Field(default_factory=list, description="a row for each runtime and device")
    files: list[FileSize] = Field(
        default_factory=list,
        description="in a report of several runs, all its files, the one that was scored first; of one run: see "
        "`file_mb` and `details`",
    )
    effort: Effort = Field(default_factory=Effort, description="what it took to make it")
    note: str = Field(default="", description="what the recipe says that its reader must know")
    missing: dict[str, str] = Field(default_factory=dict, description="what there is not, and why")
    gates: list[GateVerdict] = Field(default_factory=list, description="the verdicts of the recipe's gates")
    details: list[dict[str, Any]] = Field(
        default_factory=list, description="each stage's own findings; their keys may change from version to version"
    )
    pictures: list[PictureRow] = Field(default_factory=list, description="every test picture as it restored it")
    status: Literal["done", "failed"] = Field(default="done", description="failed: there is no network; see `error`")
    error: str | None = Field(default=None, description="why there is no network")

    def value(self, metric: str) -> float | None:
        """A metric's value; None if there is none."""
        measured = self.metrics.get(metric)
        return None if measured is None else measured.value


class RunInfo(_Entry):
    """What all rows of a run have in common."""

    name: str = Field(description="the run's name, or those of all runs of the report")
    description: str = Field(description="what the recipe says that it is for")
    data: str = Field(description="the data set that everything was trained and scored on")
    teacher: str | None = Field(default=None, description="the network that the recipe names as teacher, if it does")
    conditions: list[str] = Field(default_factory=list, description="how quality and cost were measured, a line each")
    environment: dict[str, str] = Field(
        default_factory=dict, description="machine and versions; of several runs, each key after its run's name"
    )
    command: str = Field(default="", description="what was typed")
    blurred_psnr_db: float | None = Field(default=None, description="mean PSNR of the input as it is")
    blurred_ssim: float | None = Field(default=None, description="mean SSIM of the input as it is")
    blurred_lpips: float | None = Field(default=None, description="mean LPIPS of the input as it is")
    blurred_edge_sharpness: float | None = Field(default=None, description="mean edge sharpness of the input as it is")
    blurred_pictures: list[PictureRow] = Field(
        default_factory=list, description="every test picture before it is restored"
    )
    sample_pictures: list[str] = Field(default_factory=list, description="names of the test pictures kept as files")


class Report(_Entry):
    """The content of `report.json`."""

    run: RunInfo
    teacher: Variant = Field(description="the network that all variants are made of and compared with")
    variants: list[Variant] = Field(description="in the order of the recipe, failed ones too")
