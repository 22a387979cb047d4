"""The only training loop: training, fine-tuning and distillation differ in the loss they hand in."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from baseline.data.loader import batches, unwrapped
from baseline.data.pairs import CropSource
from baseline.errors import UserError
from baseline.losses import Loss
from baseline.progress import progress
from baseline.restorer import on_device, outputs_of
from baseline.settings import FitSettings

Validate = Callable[[nn.Module], float]
"""A network -> its mean PSNR in dB on the validation pairs."""

_Tensors = tuple[Tensor, ...] | list[Tensor]
_LOG_EVERY = 50


@dataclass
class FitReport:
    """What a training did: steps, minutes of training (over all its restarts), and its curve."""

    steps: int
    minutes: float
    curve: list[dict[str, float]] = field(default_factory=list)


def fit(
    network: nn.Module,
    source: CropSource,
    loss: Loss,
    settings: FitSettings,
    folder: Path,
    validate: Validate | None = None,
) -> FitReport:
    """Train `network` in place; at the end it holds the moving average of its weights and is in eval mode.

    `folder` keeps the checkpoint: a training that was killed goes on from its last one, with the same result as one
    that was not. A UserError if the loss stops being finite.
    """
    accelerator = Accelerator(dataloader_config=DataLoaderConfiguration(split_batches=True))
    run = _Run(network, settings, folder, accelerator)
    loader = accelerator.prepare(batches(source, settings, run.step))
    network.train()
    with progress("training", settings.steps, run.step) as steps:
        for batch in unwrapped(loader):
            terms = run.advance(batch, loss)
            run.log(terms)
            steps(run.step, f"loss {sum(terms.values()):.4f}")
            if validate is not None and (run.step % settings.validate_every == 0 or run.step == settings.steps):
                run.curve.append({"step": run.step, "val_psnr_db": validate(run.average.module)})
                network.train()
            if run.step % settings.checkpoint_every == 0 and run.step < settings.steps:
                run.save()
    run.save()
    network.load_state_dict(run.average.module.state_dict())
    network.eval()
    return FitReport(run.step, run.seconds / 60, run.curve)


def learning_rate_share(step: int, settings: FitSettings) -> float:
    """The share of `lr` used in a step (counted from 0): a linear rise, then half a cosine down to zero."""
    rise = max(1, round(settings.warmup * settings.steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, settings.steps - rise)))


class _Run:
    """The state of one training: everything that a checkpoint holds."""

    def __init__(self, network: nn.Module, settings: FitSettings, folder: Path, accelerator: Accelerator) -> None:
        self.settings = settings
        self.accelerator = accelerator
        self.step = 0
        self.seconds = 0.0
        self.curve: list[dict[str, float]] = []
        self.checkpoint = folder / "checkpoint.pt"
        on_device(network, accelerator.device)
        self.average = AveragedModel(network, multi_avg_fn=_moving_average(settings.ema))
        optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        self.schedule = LambdaLR(optimizer, lambda step: learning_rate_share(step, settings))
        self.optimizer = optimizer
        self.network = network
        if self.checkpoint.exists():
            self._restore()
        self._seconds_before, self._started = self.seconds, time.monotonic()
        self.wrapped = accelerator.prepare(network)

    def advance(self, batch: Any, loss: Loss) -> dict[str, Tensor]:
        """One step on one batch; returns the loss terms."""
        # Dropout draws from a generator seeded by the step, so that a resumed training draws what a whole one would.
        torch.manual_seed(self.settings.seed + self.step)
        blurred = batch.blurred.contiguous(memory_format=torch.channels_last)
        device_type = self.accelerator.device.type
        with torch.autocast(device_type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            outputs = outputs_of(self.wrapped, blurred)
        terms = loss([output.float() for output in outputs], batch)
        total = torch.stack(list(terms.values())).sum()
        if not math.isfinite(total.item()):
            raise UserError(
                f"the training loss must stay finite; it became {total.item()} in step {self.step + 1}. "
                f"Lower lr (now {self.settings.lr:g}); the last good checkpoint is {self.checkpoint}."
            )
        self.accelerator.backward(total)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.average.update_parameters(self.network)
        self.step += 1
        self.seconds = self._seconds_before + time.monotonic() - self._started
        return {name: term.detach() for name, term in terms.items()}

    def log(self, terms: dict[str, Tensor]) -> None:
        """Add the terms of this step to the curve, now and then."""
        if self.step % _LOG_EVERY == 0 or self.step == self.settings.steps:
            self.curve.append({"step": self.step, **{name: term.item() for name, term in terms.items()}})

    def save(self) -> None:
        """Write the checkpoint, in the main process only; it appears whole or not at all."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        beside = self.checkpoint.with_suffix(".part")
        torch.save(state, beside)
        beside.replace(self.checkpoint)

    def _restore(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.accelerator.device, weights_only=True)
        self.step, self.seconds, self.curve = state["step"], state["seconds"], state["curve"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


def _moving_average(decay: float) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    """Exponential moving average whose decay starts low, so that short trainings are not held back by their start."""

    @torch.no_grad()
    def update(averaged: _Tensors, current: _Tensors, count: Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - now)

    return update
