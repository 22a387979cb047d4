"""Fitting the shipped blur score to what a network gains on the shipped training photographs.

    python -m baseline.selective.training baseline/shipped/teacher-partly --seen runs/score

It takes half an hour on two cores, half of it to restore windows. What they gain is kept in `--seen`, in a folder for
each network and the code that measures, and is not measured again.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from baseline.artifact import load
from baseline.atomic import whole_file
from baseline.checksum import file_sha256
from baseline.code_closure import code_sha256
from baseline.data.photos import FOLDER
from baseline.data.pictures import list_pictures
from baseline.progress import progress
from baseline.restorer import NetworkRestorer
from baseline.selective.score import SMALL_GAIN, WEIGHTS, ScoreModel
from baseline.selective.windows import cell_errors, window

_SEED = 73_001
_WINDOWS = 612
"""Twelve of each training photograph."""
_VAL_WINDOWS = 64
_ROUNDS = 100
_BATCH = 6
_LEARNING_RATE = 2e-3
_WEIGHT_DECAY = 1e-2
_CONTRASTS = (0.6, 1.15)
_LEAST_ERROR = 30.0
"""Grey levels squared, 33 dB: of windows that are as good as sharp, what a network spoils would be all that counts."""
_STEEPEST = 1.0
_RELATIVE = 10.0
"""What makes errors in decibels weigh about as much as those in magnitude."""


@click.command()
@click.argument("network", type=click.Path(path_type=Path, exists=True))
@click.option("--seen", type=click.Path(path_type=Path), required=True, help="Where what was restored is kept.")
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS)
def main(network: Path, seen: Path, out: Path) -> None:
    """Fit the score to what NETWORK, an artifact, gains; write the weights."""
    restorer = NetworkRestorer(load(network).network)
    code = code_sha256("baseline.selective.windows", "baseline.artifact", "baseline.restorer")
    seen /= f"{file_sha256(network / 'weights.safetensors')[:16]}-{code[:16]}"
    train = _seen(restorer, "train", _WINDOWS, seen)
    val = _seen(restorer, "val", _VAL_WINDOWS, seen)
    torch.manual_seed(_SEED)
    model = ScoreModel()
    optimizer = torch.optim.AdamW(model.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _ROUNDS)
    order = np.random.default_rng(_SEED)
    for number in range(1, _ROUNDS + 1):
        # Orders of magnitude first: relative gains alone are too rare and too large to begin with.
        relative = max(0.0, 2 * number / _ROUNDS - 1)
        for blurred, errors in _batches(*train, order):
            gains = model(blurred)
            loss = (1 - relative) * _in_magnitude(gains, errors) + relative * _RELATIVE * _in_decibels(gains, errors)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), _STEEPEST)
            optimizer.step()
        schedule.step()
        if number % 5 == 0:
            click.echo(f"round {number}: {_on_val(model, *val)}")
    # Half precision changes no decision, and is half as large.
    with whole_file(out) as beside:
        save_file({name: weight.half() for name, weight in model.state_dict().items()}, beside)


def _in_magnitude(gains: Tensor, errors: Tensor) -> Tensor:
    """How far the gains are from the true ones in their orders of magnitude."""
    true = errors[:, :1] - errors[:, 1:]
    return ((gains / SMALL_GAIN).asinh() - (true / SMALL_GAIN).asinh()).square().mean()


def _in_decibels(gains: Tensor, errors: Tensor) -> Tensor:
    """How far the gains are from the true ones, relative to the error of the window: what counts is decibels."""
    true = errors[:, :1] - errors[:, 1:]
    return ((gains - true) / (errors[:, :1].mean(dim=(2, 3), keepdim=True) + _LEAST_ERROR)).square().mean()


def _seen(restorer: NetworkRestorer, split: str, count: int, folder: Path) -> tuple[Tensor, Tensor]:
    """So many windows of a split, N,3,H,W of 8 bits, and the errors of their cells, N,1+scales,h,w."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = list_pictures(FOLDER / split)
    pictures, errors = [], []
    with progress(f"restoring windows of {split}", count) as told:
        for number in range(count):
            kept = folder / f"{split}-{number}.npy"
            _, blurred, sharp = window(photos, number, _SEED)
            if not kept.exists():
                errors_of_cells = cell_errors(restorer, blurred, sharp)
                with whole_file(kept) as beside:
                    np.save(beside, errors_of_cells)
            pictures.append(torch.from_numpy(blurred.transpose(2, 0, 1).copy()))
            errors.append(torch.from_numpy(np.load(kept)))
            told(number + 1)
    return torch.stack(pictures), torch.stack(errors)


def _batches(blurred: Tensor, errors: Tensor, order: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Every window once, in an order of its own, at random mirrored, turned upside down, transposed, and of less or
    more contrast, with which errors grow as its square.
    """
    for chosen in torch.split(torch.from_numpy(order.permutation(len(blurred))), _BATCH):
        flipped = [axis for axis in (-1, -2) if order.random() < 0.5]
        picture = blurred[chosen].flip(flipped).float() / 255
        contrast = torch.from_numpy(order.uniform(*_CONTRASTS, (len(chosen), 1, 1, 1))).float()
        middle = picture.mean(dim=(2, 3), keepdim=True)
        found = (middle + contrast * (picture - middle)).clamp(0, 1), contrast**2 * errors[chosen].flip(flipped)
        yield (found[0].mT, found[1].mT) if order.random() < 0.5 else found


@torch.inference_mode()
def _on_val(model: ScoreModel, blurred: Tensor, errors: Tensor) -> str:
    """How far the gains on windows of validation photographs are from the true ones."""
    gains = torch.cat([model(part.float() / 255) for part in torch.split(blurred, _BATCH)])
    return f"on val {_in_magnitude(gains, errors):.4f} in magnitude, {_in_decibels(gains, errors):.4f} in decibels"


if __name__ == "__main__":
    main()
