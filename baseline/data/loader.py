"""Training samples: the same for any number of workers and after any restart, because each has its own seed."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from baseline.data.augment import AUGMENTATIONS
from baseline.data.pairs import CropSource
from baseline.errors import UserError
from baseline.phases import spans
from baseline.settings import FitSettings


class Batch(NamedTuple):
    """Blurred and sharp crops, each N,3,H,W in 0..1."""

    blurred: Tensor
    sharp: Tensor


def to_tensor(picture: NDArray[Any]) -> Tensor:
    """H,W,3 or H,W,1 of 8 or 16 bits -> 3,H,W float in 0..1."""
    levels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32))
    return levels.div_(np.iinfo(picture.dtype).max).expand(3, -1, -1)


def to_picture(image: Tensor, channels: int = 3, dtype: type[np.unsignedinteger[Any]] = np.uint8) -> NDArray[Any]:
    """3,H,W in 0..1 -> H,W,3, clamped and rounded to the range of `dtype`; one channel is the mean of the three."""
    image = image.detach().float().cpu()
    wanted = image if channels == 3 else image.mean(dim=0, keepdim=True)
    levels = wanted.clamp(0, 1).mul(np.iinfo(dtype).max).round()
    return levels.permute(1, 2, 0).numpy().astype(dtype)


def fixed_crops(source: CropSource, count: int, side: int, seed: int) -> Batch:
    """So many crops, the same for the same seed: to look at a network with, not to train it."""
    crops = [source.crop(np.random.default_rng([seed, index]), side) for index in range(count)]
    blurred, sharp = ([to_tensor(pictures[part]) for pictures in crops] for part in (0, 1))
    return Batch(torch.stack(blurred), torch.stack(sharp))


class Draw(NamedTuple):
    """A sample to be drawn: its number, counted over the whole training, and the side of its crop."""

    sample: int
    crop: int


class CropSamples(Dataset[Batch]):
    """A sample is drawn and augmented by a generator seeded with (seed, its number)."""

    def __init__(self, source: CropSource, settings: FitSettings) -> None:
        self._source = source
        self._seed = settings.seed
        self._augment = AUGMENTATIONS[settings.augment]

    def __getitem__(self, draw: Draw) -> Batch:
        rng = np.random.default_rng([self._seed, draw.sample])
        blurred, sharp = self._augment(rng, *self._source.crop(rng, draw.crop))
        return Batch(to_tensor(blurred), to_tensor(sharp))


class StepSampler(Sampler[list[Draw]]):
    """What to draw for every step from `first_step` on: the whole batch, or the part of one of several processes."""

    def __init__(self, settings: FitSettings, first_step: int = 0, process: int = 0) -> None:
        self._settings = settings
        self._first_step = first_step
        self._process = process
        self._orders: dict[int, NDArray[np.int64]] = {}

    def __iter__(self) -> Iterator[list[Draw]]:
        for span in spans(self._settings):
            own = span.batch // self._settings.processes
            for step in range(max(span.first, self._first_step), span.end):
                first = span.sample(step) + self._process * own
                yield [Draw(self._drawn(sample), span.crop) for sample in range(first, first + own)]

    def __len__(self) -> int:
        return self._settings.steps - self._first_step

    def _drawn(self, sample: int) -> int:
        """The sample itself or, of a fixed set, the one whose turn it is: each pass has an order of its own."""
        count = self._settings.crop_set
        if count is None:
            return sample
        turn, place = divmod(sample, count)
        if turn not in self._orders:
            self._orders = {turn: np.random.default_rng([self._settings.seed, turn, count]).permutation(count)}
        return int(self._orders[turn][place])


def unwrapped(loader: Iterable[Batch]) -> Iterator[Batch]:
    """The loader's batches; a UserError of a worker process is told in one line again, without its traceback."""
    try:
        yield from loader
    except UserError as error:
        raise UserError(str(error).strip().splitlines()[-1].rpartition("UserError: ")[2]) from None


def batches(source: CropSource, settings: FitSettings, first_step: int = 0, process: int = 0) -> DataLoader[Batch]:
    """The batches of one process from `first_step` (counted from 0) to the last step."""
    return DataLoader(
        CropSamples(source, settings),
        batch_sampler=StepSampler(settings, first_step, process),
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
