"""Training samples: the same for any number of workers and after any restart, because each has its own seed."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from baseline.data.pairs import CropSource
from baseline.data.pictures import Picture
from baseline.errors import UserError
from baseline.settings import FitSettings


class Batch(NamedTuple):
    """Blurred and sharp crops, each N,3,H,W in 0..1."""

    blurred: Tensor
    sharp: Tensor


def to_tensor(picture: Picture) -> Tensor:
    """H,W,3 of 8 bits -> 3,H,W float in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float().div_(255)


def to_picture(image: Tensor) -> Picture:
    """3,H,W in 0..1 -> H,W,3, clamped and rounded to 8 bits."""
    levels = image.detach().float().clamp(0, 1).mul(255).round().byte()
    picture: NDArray[np.uint8] = levels.permute(1, 2, 0).cpu().numpy()
    return picture


class CropSamples(Dataset[Batch]):
    """Sample i is drawn, flipped and turned by a generator seeded with (seed, i)."""

    def __init__(self, source: CropSource, settings: FitSettings) -> None:
        self._source = source
        self._settings = settings

    def __len__(self) -> int:
        return self._settings.steps * self._settings.batch

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng([self._settings.seed, index])
        blurred, sharp = self._source.crop(rng, self._settings.crop)
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))

        def augment(picture: Picture) -> Tensor:
            turned = np.rot90(picture, turns)
            return to_tensor(turned[:, ::-1] if mirrored else turned)

        return Batch(augment(blurred), augment(sharp))


def unwrapped(loader: Iterable[Batch]) -> Iterator[Batch]:
    """The loader's batches; a UserError of a worker process is told in one line again, without its traceback."""
    try:
        yield from loader
    except UserError as error:
        raise UserError(str(error).strip().splitlines()[-1].rpartition("UserError: ")[2]) from None


def batches(source: CropSource, settings: FitSettings, first_step: int = 0) -> DataLoader[Batch]:
    """All batches from `first_step` (counted from 0) to the last step."""
    samples = CropSamples(source, settings)
    rest = Subset(samples, range(first_step * settings.batch, len(samples)))
    return DataLoader(
        rest, batch_size=settings.batch, num_workers=settings.workers, persistent_workers=settings.workers > 0
    )
