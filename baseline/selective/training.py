"""Fitting the shipped blur score to a network on the shipped training photographs.

    python -m baseline.selective.training baseline/shipped/teacher-partly --seen runs/score

What was restored is kept in `--seen`; a fit that was stopped goes on there.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from baseline.artifact import load
from baseline.data.loader import to_tensor
from baseline.data.photos import FOLDER
from baseline.data.pictures import list_pictures
from baseline.progress import progress
from baseline.restorer import NetworkRestorer
from baseline.selective.score import WEIGHTS, ScoreModel, per_cell
from baseline.selective.windows import changes, window

_SEED = 73_001
_WINDOWS = 204
"""Four of each training photograph."""
_VAL_WINDOWS = 48
_ROUNDS = 150
_BATCH = 6
_LEARNING_RATE = 2e-3


@click.command()
@click.argument("network", type=click.Path(path_type=Path, exists=True))
@click.option("--seen", type=click.Path(path_type=Path), required=True, help="Where what was restored is kept.")
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS)
def main(network: Path, seen: Path, out: Path) -> None:
    """Fit the score to the changes that NETWORK, an artifact, makes; write the weights."""
    restorer = NetworkRestorer(load(network).network)
    train = _seen(restorer, "train", _WINDOWS, seen)
    val = _seen(restorer, "val", _VAL_WINDOWS, seen)
    torch.manual_seed(_SEED)
    model = ScoreModel()
    optimizer = torch.optim.Adam(model.parameters(), _LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _ROUNDS)
    order = np.random.default_rng(_SEED)
    for number in range(1, _ROUNDS + 1):
        total = 0.0
        for blurred, scores in _batches(*train, order):
            loss = (model(blurred) - scores).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(blurred)
        schedule.step()
        if number % 10 == 0:
            click.echo(f"round {number}: {total / _WINDOWS:.3f}, {_on_val(model, *val)}")
    save_file(model.state_dict(), out)


def _seen(restorer: NetworkRestorer, split: str, count: int, folder: Path) -> tuple[Tensor, Tensor]:
    """So many windows of a split, N,3,H,W of 8 bits, and their true scores, N,2,h,w."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = list_pictures(FOLDER / split)
    blurred, scores = [], []
    with progress(f"restoring windows of {split}", count) as told:
        for number in range(count):
            kept = folder / f"{split}-{number}.npy"
            _, picture, _ = window(photos, number, _SEED)
            if not kept.exists():
                changed = torch.cat(changes(restorer, to_tensor(picture)[None]))
                squares = per_cell((255 * changed).square().mean(dim=1, keepdim=True))
                np.save(kept, squares[:, 0].sqrt().numpy())
            blurred.append(torch.from_numpy(picture.transpose(2, 0, 1).copy()))
            scores.append(torch.from_numpy(np.load(kept)))
            told(number + 1)
    return torch.stack(blurred), torch.stack(scores)


def _batches(blurred: Tensor, scores: Tensor, order: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Every window once, in an order of its own, mirrored, turned upside down and transposed at random."""
    for chosen in torch.split(torch.from_numpy(order.permutation(len(blurred))), _BATCH):
        flipped = [axis for axis in (-1, -2) if order.random() < 0.5]
        found = blurred[chosen].flip(flipped).float() / 255, scores[chosen].flip(flipped)
        yield (found[0].mT, found[1].mT) if order.random() < 0.5 else found


@torch.inference_mode()
def _on_val(model: ScoreModel, blurred: Tensor, scores: Tensor) -> str:
    """How the scores on windows of validation photographs stand to the true ones."""
    found = torch.cat([model(part.float() / 255) for part in torch.split(blurred, _BATCH)])
    rates = [torch.corrcoef(torch.stack([found[:, n].flatten(), scores[:, n].flatten()]))[0, 1] for n in (0, 1)]
    return f"val {(found - scores).square().mean():.3f}, correlation in full {rates[0]:.3f}, at half {rates[1]:.3f}"


if __name__ == "__main__":
    main()
