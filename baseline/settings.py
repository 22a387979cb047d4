"""What training and data may be told. Checked when built, in the first second; importing this never imports torch."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from baseline.data.augment import AUGMENTATIONS
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

    operational: ClassVar[frozenset[str]] = frozenset()
    """The settings that say how the work is done, and do not change its result."""

    @property
    def starts_anew(self) -> bool:
        """Whether a stage with these settings makes a network of its own instead of taking what came before."""
        return False

    @property
    def uses_teacher(self) -> bool:
        """Whether a stage with these settings looks at the root teacher."""
        return False

    @property
    def packages(self) -> tuple[str, ...]:
        """The optional packages that the result of a stage with these settings depends on."""
        return ()

    @property
    def depends_on_machine(self) -> bool:
        """Whether the result of a stage with these settings holds for the machine that it was made on."""
        return False


class DataSettings(Settings):
    """Which pictures: the shipped photographs, or a data set in a folder of the user's."""

    name: str = "photos"
    root: Path | None = None
    cache_mb: int = Field(default=1024, ge=0, description="memory for decoded training pictures; 0: none")


_SSIM_CROP = 24
"""At a quarter of it, the border that SSIM's window reflects is still inside the picture."""


class LossSettings(Settings):
    """The weight of each term of the loss (0: the term is left out), and of each scale.

    The paper of MIMO-UNet: l1 1, frequency 0.1, scales equal. The article: l1 1, ssim 0.1, scales 1, 1/2, 1/4.
    """

    l1: float = Field(default=1.0, ge=0)
    frequency: float = Field(default=0.1, ge=0, description="L1 between unnormalised Fourier transforms (MSFR)")
    ssim: float = Field(default=0.0, ge=0, description="1 - SSIM")
    psnr: float = Field(default=0.0, ge=0, description="minus PSNR in dB")
    charbonnier: float = Field(default=0.0, ge=0)
    scales: tuple[float, float, float] = Field(default=(1.0, 1.0, 1.0), description="full, half and quarter scale")

    @model_validator(mode="after")
    def _something_is_weighted(self) -> "LossSettings":
        if not any((self.l1, self.frequency, self.ssim, self.psnr, self.charbonnier)) or min(self.scales) <= 0:
            raise ValueError("must give at least one term, and every scale, a weight above 0")
        return self


class Phase(Settings):
    """A named part of a progressive training. What it leaves open is as in the whole training."""

    name: str
    share: float = Field(gt=0, le=1, description="of the steps")
    crop: int | None = Field(default=None, ge=16, multiple_of=4)
    batch: int | None = Field(default=None, gt=0)
    scales: int = Field(default=3, ge=1, le=3, description="how many outputs the loss looks at, the coarsest first")


class FitSettings(Settings):
    """The training loop. `batch` is the global batch, `crop` the side of the square crops in pixels."""

    operational: ClassVar[frozenset[str]] = frozenset(
        {"workers", "processes", "track", "log_every", "checkpoint_every"}
    )

    steps: int = Field(gt=0)
    batch: int = Field(default=8, gt=0)
    crop: int = Field(default=96, ge=16, multiple_of=4)
    crop_set: int | None = Field(
        default=None, gt=0, description="so many crops, repeated in ever another order; none: always new ones"
    )
    phases: tuple[Phase, ...] = Field(default=(), description="progressive training; none: all steps are alike")
    augment: str = Field(default="dihedral", description="a set of augmentations: lightsharp ls augmentations")
    loss: LossSettings = LossSettings()
    optimizer: Literal["adamw", "adam"] = "adamw"
    lr: float = Field(default=8e-4, gt=0)
    schedule: Literal["cosine", "halving", "constant"] = "cosine"
    halvings: int = Field(default=5, gt=0, description="of the schedule 'halving', at equal distances")
    weight_decay: float = Field(default=1e-4, ge=0)
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of the steps in which the rate rises to `lr`")
    warmup_steps: int | None = Field(default=None, ge=0, description="the same in steps; 'constant' without it: 500")
    decay_steps: int = Field(default=0, ge=0, description="of 'constant': the last steps, in which the rate falls to 0")
    clip: float = Field(default=1.0, ge=0, description="largest norm of the gradient; 0: not clipped")
    ema: float = Field(default=0.999, ge=0, lt=1, description="decay of the moving average of the weights; 0: none")
    keep: Literal["best", "last"] = Field(default="best", description="which weights stay, judged on val")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    checkpoint_gradients: bool = Field(default=False, description="recompute blocks in the backward pass")
    seed: int = Field(default=0, ge=0)
    workers: int = Field(default=1, ge=0, description="loader processes; the samples are the same for any number")
    processes: int = Field(default=1, gt=0, description="training processes that torchrun must have started")
    log_every: int = Field(default=50, gt=0)
    checkpoint_every: int = Field(default=100, gt=0)
    validate_every: int = Field(default=1000, gt=0)
    track: Literal["none", "tensorboard", "mlflow"] = "none"

    @field_validator("augment")
    @classmethod
    def _augmentation_exists(cls, name: str) -> str:
        AUGMENTATIONS[name]
        return name

    @model_validator(mode="after")
    def _only_a_constant_rate_decays_at_any_step(self) -> "FitSettings":
        if self.decay_steps and self.schedule != "constant":
            raise ValueError(f"decay_steps go with schedule 'constant'; schedule is '{self.schedule}'")
        if self.decay_steps > self.steps:
            raise ValueError(f"decay_steps must be at most steps ({self.steps}); got {self.decay_steps}")
        if self.phases and self.schedule == "constant":
            raise ValueError("phases are shares of all steps, which schedule 'constant' leaves open; leave one out")
        return self

    @model_validator(mode="after")
    def _phases_fill_the_steps(self) -> "FitSettings":
        if self.phases and abs(sum(phase.share for phase in self.phases) - 1) > 1e-6:
            raise ValueError(f"the shares of the phases must sum to 1; got {sum(p.share for p in self.phases):g}")
        uneven = [b for b in (self.batch, *(p.batch for p in self.phases)) if b and b % self.processes]
        if uneven:
            raise ValueError(f"a batch must be a multiple of processes ({self.processes}); got {uneven[0]}")
        if any(loss.ssim for loss in self.losses) and min(self.crops) < _SSIM_CROP:
            raise ValueError(f"crops must be at least {_SSIM_CROP} pixels for the term ssim; got {min(self.crops)}")
        return self

    @property
    def changeable(self) -> frozenset[str]:
        """The settings that may change when a training is resumed."""
        return self.operational | {"precision"} | ({"steps", "decay_steps"} if self.schedule == "constant" else set())

    @property
    def losses(self) -> list[LossSettings]:
        """The terms against every target."""
        return [self.loss]

    @property
    def crops(self) -> list[int]:
        """The sides of the crops of all phases."""
        return [phase.crop or self.crop for phase in self.phases] or [self.crop]


class TrainSettings(FitSettings):
    """The train stage: a network from scratch if one is named, otherwise fine-tuning of what came before.

    Arguments without a name make what came before deeper.
    """

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
        return self
