"""Blurred and sharp pictures that belong together: pairs, sets of them for scoring, crops for training."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from baseline.data.pictures import Picture, read_opaque
from baseline.errors import UserError
from baseline.names import printable

MIN_SIDE = 31
"""The shortest side in pixels of a scored picture: the smallest that gives AlexNet, and so LPIPS, something to see."""

Crops = tuple[Picture, Picture]
"""The blurred and the sharp crop."""


@dataclass(frozen=True)
class Pair:
    """One scored pair. `group` names the photograph or sequence it comes from: the unit of resampling."""

    name: str
    group: str
    blurred: Picture
    sharp: Picture


class PairSet:
    """Pairs by name, each read or made when asked for.

    `aligned`: the two pictures of a pair are displaced, and the field scores a restored one after aligning it (ECC).
    """

    def __init__(self, loaders: Mapping[str, Callable[[], Pair]], aligned: bool = False) -> None:
        self._loaders = dict(loaders)
        self.aligned = aligned

    @property
    def names(self) -> list[str]:
        """The names of the pairs, in order."""
        return list(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)

    def __iter__(self) -> Iterator[Pair]:
        return (load() for load in self._loaders.values())

    def only(self, names: Iterable[str]) -> "PairSet":
        """The set of the named pairs."""
        return PairSet({name: self._loaders[name] for name in names}, self.aligned)


class CropSource(Protocol):
    """Where training crops come from. The same generator state gives the same crops."""

    @property
    def largest_crop(self) -> int:
        """The largest side that every picture can give."""

    def crop(self, rng: np.random.Generator, side: int) -> Crops:
        """A random blurred crop and its sharp one, side x side."""


@dataclass(frozen=True)
class DataSet:
    """A data set: crops to train on, pairs to validate on while training, pairs to score with at the end.

    `manifest` identifies the data: what it holds changes when the data change.
    """

    name: str
    test: PairSet
    manifest: dict[str, Any] = field(default_factory=dict)
    train: CropSource | None = None
    val: PairSet | None = None
    notes: tuple[str, ...] = ()
    """What a reader of numbers on this data must know."""

    def training_crops(self, side: int) -> CropSource:
        """The training part; a UserError if there is none, or if a picture of it is smaller than the crops."""
        if self.train is None:
            raise UserError(
                f"data '{self.name}' must have a training part; it holds test pairs only. "
                "Lay the folder out as ROOT/train/{blur,sharp} and ROOT/test/{blur,sharp}."
            )
        if self.train.largest_crop < side:
            raise UserError(
                f"crop must be at most {self.train.largest_crop} for data '{self.name}', the shortest side of its "
                f"training pictures; got {side}. Set a smaller crop."
            )
        return self.train


@dataclass(frozen=True)
class PairFiles:
    """The two files of a pair, before they are read. Name and group are labels that every output can show."""

    name: str
    group: str
    blurred: Path
    sharp: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))
        object.__setattr__(self, "group", printable(self.group))

    def read(self, read: Callable[[Path], Picture] = read_opaque) -> Pair:
        """Both pictures; a UserError if they differ in size."""
        blurred, sharp = read(self.blurred), read(self.sharp)
        if blurred.shape != sharp.shape:
            raise size_error(self, blurred.shape[1::-1], sharp.shape[1::-1])
        return Pair(self.name, self.group, blurred, sharp)


def size_error(pair: PairFiles, blurred: tuple[int, ...], sharp: tuple[int, ...]) -> UserError:
    """The error for a pair of unequal sizes, given as width and height."""
    return UserError(
        f"{pair.blurred} must be as large as {pair.sharp}; "
        f"they are {blurred[0]}x{blurred[1]} and {sharp[0]}x{sharp[1]}."
    )


class PairedCrops:
    """Training crops from pairs of files, at the same place in both pictures."""

    def __init__(self, files: Sequence[PairFiles], largest_crop: int, read: Callable[[Path], Picture]) -> None:
        self._files = files
        self._read = read
        self.largest_crop = largest_crop

    def crop(self, rng: np.random.Generator, side: int) -> Crops:
        pair = self._files[int(rng.integers(len(self._files)))].read(self._read)
        top, left = crop_corner(rng, pair.sharp, side, pair.name)
        window = np.s_[top : top + side, left : left + side]
        return pair.blurred[window], pair.sharp[window]


def crop_corner(rng: np.random.Generator, picture: Picture, side: int, name: str) -> tuple[int, int]:
    """Top and left of a random square crop; a UserError if the picture is smaller than the crop."""
    height, width = picture.shape[:2]
    if min(height, width) < side:
        raise UserError(f"{name} must be at least {side} pixels a side; it is {width}x{height}. Set a smaller crop.")
    return int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))


def file_manifest(files: Sequence[PairFiles]) -> list[list[Any]]:
    """Name and group of every pair, then name, size in bytes and time of change of its two files."""
    return [[pair.name, pair.group, *_identity(pair.blurred), *_identity(pair.sharp)] for pair in files]


def _identity(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns
