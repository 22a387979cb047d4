"""The only training loop: training, fine-tuning and distillation differ in the loss they hand in."""

import math
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.utils import KwargsHandler
from torch import Tensor, nn

from baseline.data.loader import Batch, batches, unwrapped
from baseline.data.pairs import CropSource
from baseline.distributed import check_processes
from baseline.errors import UserError
from baseline.losses import Loss
from baseline.networks.checkpointing import checkpointed_gradients
from baseline.phases import Span, spans
from baseline.progress import Steps, progress
from baseline.restorer import check_crops, outputs_of
from baseline.settings import FitSettings
from baseline.tracking import tracker
from baseline.training_state import TrainingState

Validate = Callable[[nn.Module], float]
"""A network -> its mean PSNR in dB on the validation pairs."""

_AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class FitReport:
    """What a training did: steps, minutes (over all its restarts), curve, the step of the weights kept, peak memory.

    The memory is that of the training process without its loader workers (CPU: resident since the process started;
    CUDA: allocated in this training).
    `precisions` names each precision with the first step (counted from 0) that was computed in it. `last` are the last
    averaged weights, if others were kept.
    """

    steps: int
    minutes: float
    kept_step: int
    peak_memory_mb: float
    curve: list[dict[str, float]]
    precisions: list[dict[str, Any]]
    last: dict[str, Tensor] | None = None


def fit(
    network: nn.Module,
    source: CropSource,
    loss: Loss,
    settings: FitSettings,
    folder: Path,
    validate: Validate | None = None,
    tracking: Path | None = None,
) -> FitReport:
    """Train `network` in place; at the end it holds the weights that `settings.keep` names, and is in eval mode.

    What is judged and kept is the moving average of the weights. `folder` holds the checkpoint: a training that was
    killed goes on from its last one, with the same result as one that was not. `tracking` is where a tracker writes.
    A UserError if loss or gradient stop being finite, if the crops are of no size that the network takes, or if it runs
    in another number of processes than asked for.
    """
    check_crops(settings.crops, network)
    accelerator = _accelerator(settings)
    state = TrainingState(network, settings, folder / "checkpoint.pt", accelerator.device)
    with ExitStack() as stack:
        if settings.checkpoint_gradients:
            stack.enter_context(checkpointed_gradients(network))
        run = _Run(state, loss, settings, accelerator)
        shown = stack.enter_context(_shown(run))
        main = accelerator.is_main_process
        track = stack.enter_context(tracker(settings.track if main else "none", tracking or folder / "tracking"))
        loader = batches(source, settings, state.step, accelerator.process_index)
        network.train()
        note, means = "", dict[str, float]()
        for span, batch in zip(run.remaining(), unwrapped(loader), strict=True):
            terms = run.advance(span, batch)
            last = state.step == settings.steps
            if last or state.step % settings.log_every == 0:
                means = run.mean_over_processes(terms)
                state.curve.append({"step": state.step, **means})
                track(state.step, {**means, "lr": float(state.schedule.get_last_lr()[0])})
                note = f"{span.name} loss {sum(means.values()):.4f}"
            shown(state.step, note, means)
            if validate is not None and main and (last or state.step % settings.validate_every == 0):
                state.judge(validate(state.average.module))
                network.train()
                track(state.step, {"val_psnr_db": state.curve[-1]["val_psnr_db"]})
            if main and (last or state.step % settings.checkpoint_every == 0):
                state.save()
    kept_step, weights = state.kept(settings.keep)
    network.load_state_dict(weights)
    network.eval()
    memory_mb = _peak_memory_mb(accelerator.device)
    last_weights = None if kept_step == state.step else state.kept("last")[1]
    return FitReport(state.step, state.seconds / 60, kept_step, memory_mb, state.curve, state.precisions, last_weights)


def _accelerator(settings: FitSettings) -> Accelerator:
    """The processes and the device to train on."""
    check_processes(settings.processes)
    shrinking = any(phase.scales < 3 for phase in settings.phases)
    # The others wait while one process validates.
    waiting = InitProcessGroupKwargs(timeout=timedelta(hours=6))
    handlers: list[KwargsHandler] = [DistributedDataParallelKwargs(find_unused_parameters=shrinking), waiting]
    # Without `cpu`, accelerate on a machine without a GPU silently starts one training in each process.
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), kwargs_handlers=handlers)
    if accelerator.num_processes != settings.processes:
        raise RuntimeError(f"accelerate joined {accelerator.num_processes} of {settings.processes} processes")
    if accelerator.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(accelerator.device)
    return accelerator


class _Run:
    """One training on its way: what does not change from step to step, and the step."""

    def __init__(self, state: TrainingState, loss: Loss, settings: FitSettings, accelerator: Accelerator) -> None:
        self.state = state
        self.settings = settings
        self.accelerator = accelerator
        self._loss = loss
        self._wrapped = accelerator.prepare(state.network)
        self._autocast = _AUTOCAST[settings.precision]

    def remaining(self) -> Iterator[Span]:
        """The span of every step that is left."""
        return (span for span in spans(self.settings) for _ in range(max(span.first, self.state.step), span.end))

    def advance(self, span: Span, batch: Batch) -> dict[str, Tensor]:
        """One step on one batch; returns the loss terms of this process."""
        state, device = self.state, self.accelerator.device
        # Dropout draws from a generator seeded by the step, so that a resumed training draws what a whole one would.
        torch.manual_seed(self.settings.seed + state.step + 1_000_003 * self.accelerator.process_index)
        batch = Batch(*(part.to(device, non_blocking=True) for part in batch))
        blurred = batch.blurred.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, self._autocast, enabled=self._autocast is not None):
            outputs = outputs_of(self._wrapped, blurred)
        terms = self._loss([output.float() for output in outputs[: span.scales]], batch)
        total = torch.stack(list(terms.values())).sum()
        self.accelerator.backward(state.scaler.scale(total))
        state.scaler.unscale_(state.optimizer)
        norm = nn.utils.clip_grad_norm_(state.network.parameters(), self.settings.clip or math.inf)
        self._check_finite(total, norm)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.schedule.step()
        state.optimizer.zero_grad()
        state.average.update_parameters(state.network)
        state.step += 1
        return {name: term.detach() for name, term in terms.items()}

    def mean_over_processes(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """The loss terms of the global batch."""
        values = self.accelerator.reduce(torch.stack(list(terms.values())), "mean")
        return dict(zip(terms, values.tolist(), strict=True))

    def _check_finite(self, total: Tensor, norm: Tensor) -> None:
        """Before the weights change, so that no checkpoint holds broken ones.

        FP16's scaler skips gradients that overflowed, and halves its scale each time: below 1 they are broken anyhow.
        """
        scaler = self.state.scaler
        may_overflow = scaler.is_enabled() and scaler.get_scale() >= 1
        checked = torch.stack([total.detach(), torch.zeros_like(norm) if may_overflow else norm])
        if bool(checked.isfinite().all()):
            return
        what = "training loss" if not total.isfinite() else "norm of the gradient"
        value = total if not total.isfinite() else norm
        kept = f"the last good checkpoint is {self.state.checkpoint}"
        raise UserError(
            f"the {what} must stay finite; it became {value.item()} in step {self.state.step + 1}. Lower lr (now "
            f"{self.settings.lr:g}); {kept if self.state.checkpoint.exists() else 'there was no checkpoint yet'}."
        )


def _shown(run: _Run) -> AbstractContextManager[Steps]:
    if run.accelerator.is_main_process:
        return progress("training", run.settings.steps, run.state.step)
    return nullcontext(lambda _done, _note="", _losses=None: None)


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
