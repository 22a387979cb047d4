"""All that a training is in the middle of, and its checkpoint, from which it goes on as if nothing had happened."""

import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from baseline.atomic import whole_file
from baseline.errors import UserError
from baseline.phases import learning_rate_share
from baseline.restorer import on_device
from baseline.settings import FitSettings

_Tensors = tuple[Tensor, ...] | list[Tensor]
_OPTIMIZERS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


class TrainingState:
    """The network, its moving average, optimizer, rate, scaler, curve, time and best weights: what a checkpoint holds.

    Built on a folder with a checkpoint, it is the state at that checkpoint.
    """

    def __init__(self, network: nn.Module, settings: FitSettings, checkpoint: Path, device: torch.device) -> None:
        self.step = 0
        self.curve: list[dict[str, float]] = []
        self.best: dict[str, Any] | None = None
        self.precisions: list[dict[str, Any]] = []
        self.checkpoint = checkpoint
        self.network = on_device(network, device)
        self.average = AveragedModel(network, multi_avg_fn=_moving_average(settings.ema))
        optimizer = _OPTIMIZERS[settings.optimizer]
        self.optimizer = optimizer(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        self.schedule = LambdaLR(self.optimizer, lambda step: learning_rate_share(step, settings))
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        self._seconds_before = 0.0
        if checkpoint.exists():
            self._restore(_read(checkpoint, device), settings)
        if not self.precisions or self.precisions[-1]["precision"] != settings.precision:
            self.precisions.append({"first_step": self.step, "precision": settings.precision})
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the training took, over all its restarts."""
        return self._seconds_before + time.monotonic() - self._started

    def judge(self, val_psnr_db: float) -> None:
        """Note a validation of the average; keep its weights if they are the best so far."""
        self.curve.append({"step": self.step, "val_psnr_db": val_psnr_db})
        if self.best is None or val_psnr_db > self.best["val_psnr_db"]:
            weights = {name: tensor.clone() for name, tensor in self.average.module.state_dict().items()}
            self.best = {"step": self.step, "val_psnr_db": val_psnr_db, "weights": weights}

    def kept(self, which: str) -> tuple[int, dict[str, Tensor]]:
        """The step and the averaged weights that are "best" on val, or "last"; without validations the last."""
        if which == "best" and self.best is not None:
            return self.best["step"], self.best["weights"]
        return self.step, self.average.module.state_dict()

    def save(self) -> None:
        """Write the checkpoint; it appears whole or not at all."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
            "best": self.best,
            "precisions": self.precisions,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        with whole_file(self.checkpoint, tensor_bytes(state)) as beside, beside.open("wb") as file:
            torch.save(state, file)

    def _restore(self, state: dict[str, Any], settings: FitSettings) -> None:
        if state["step"] > settings.steps:
            raise UserError(
                f"steps must be at least {state['step']}, which are done in {self.checkpoint}; got {settings.steps}. "
                f"Set steps={state['step']} or more."
            )
        self.step, self.curve, self.best = state["step"], state["curve"], state["best"]
        self.precisions = state.get("precisions", [])
        self._seconds_before = state["seconds"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        for group in self.optimizer.param_groups:  # the schedule may be another from here on
            group["lr"] = settings.lr * learning_rate_share(self.step, settings)
        if state["scaler"]:  # of another precision it is empty
            self.scaler.load_state_dict(state["scaler"])


def _read(checkpoint: Path, device: torch.device) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(checkpoint, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(
            f"{checkpoint} must be a training's checkpoint; {str(error).splitlines()[0][:120]}. "
            "Remove its folder to train from the start."
        ) from None
    return state


def tensor_bytes(state: Any) -> int:
    """The bytes of all tensors in nested dictionaries and lists."""
    if isinstance(state, Tensor):
        return state.nbytes
    held = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(map(tensor_bytes, held))


def _moving_average(decay: float) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    """Exponential moving average whose decay starts low, so that short trainings are not held back by their start."""

    @torch.no_grad()
    def update(averaged: _Tensors, current: _Tensors, count: Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - now)

    return update
