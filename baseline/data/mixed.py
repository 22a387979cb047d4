"""Pictures that are blurred here and sharp there: the shipped test photographs, fixed and versioned."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from baseline.data.blur import MAX_REACH, photographed, shake_trajectory, to_linear
from baseline.data.moving import expose, object_path
from baseline.data.pairs import DataSet, Pair, PairSet
from baseline.data.photos import FOLDER, fixed_shake, load_photo
from baseline.data.pictures import Picture, list_pictures

VERSION = 1
"""Of the fixed pairs: a change of anything below that moves one pixel of a pair raises it."""

MILD_REACH = (1.0, 2.0)
SEVERE_REACH = (4.0, MAX_REACH)
_SEED = 72_001
_REGIONS = 6
"""Regions are as wide as this part of the picture's shorter side, roughly."""
_RIM = 1.0
_MOMENTS = 48


@dataclass(frozen=True)
class Mix:
    """Per cent of each picture's area that is sharp, mildly and severely blurred."""

    sharp: int
    mild: int
    severe: int


def mixed_set(mix: Mix) -> DataSet:
    """The test photographs at their whole size, in each a mild and a severe blur in regions of free shape."""
    loaders = {path.stem: partial(_mixed_pair, path, number, mix) for number, path in enumerate(_photos())}
    return _test_only(f"photos-mixed-{mix.sharp}-{mix.mild}-{mix.severe}", loaders)


def uniform_set() -> DataSet:
    """The test photographs at their whole size, each blurred all over by a camera shake of its own."""
    photos = _photos()
    reaches = np.random.default_rng(_SEED).permutation(np.linspace(MILD_REACH[0], MAX_REACH, len(photos)))
    loaders = {
        path.stem: partial(fixed_shake, path, [_SEED, number], float(reaches[number]))
        for number, path in enumerate(photos)
    }
    return _test_only("photos-uniform", loaders)


def _photos() -> list[Path]:
    return list_pictures(FOLDER / "test")


def _test_only(name: str, loaders: dict[str, partial[Pair]]) -> DataSet:
    note = (
        "Data: the shipped test photographs at their whole size with synthetic blur. Numbers on them must not be set "
        "beside numbers on real blur."
    )
    return DataSet(name=name, test=PairSet(loaders), manifest={"name": name, "version": VERSION}, notes=(note,))


def _mixed_pair(path: Path, number: int, mix: Mix) -> Pair:
    photo, rng = load_photo(path), np.random.default_rng([_SEED, number])
    return Pair(path.stem, path.stem, blur_parts(photo, rng, mix, object_is_severe=number % 2 == 0), photo)


def blur_parts(picture: Picture, rng: np.random.Generator, mix: Mix, object_is_severe: bool) -> Picture:
    """The picture, two parts of it in motion: one as an object that moves, the other as a camera shakes."""
    severe, mild = regions(rng, picture.shape[:2], mix)
    light = to_linear(picture)
    for mask, reach, is_object in ((mild, MILD_REACH, not object_is_severe), (severe, SEVERE_REACH, object_is_severe)):
        amount = float(rng.uniform(*reach))
        path = object_path(rng, amount) if is_object else shake_trajectory(rng, amount)[:: 96 // _MOMENTS]
        soft = np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _RIM), dtype=np.float32)
        light = expose(light, soft, path, np.zeros_like(path))
    return photographed(light, rng)


def regions(rng: np.random.Generator, size: tuple[int, int], mix: Mix) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks H,W of what is severely and what is mildly blurred: of free shape, their areas exactly those of the mix."""
    severe = free_mask(rng, size, mix.severe)
    rest = np.where(severe, -np.inf, _field(rng, size))
    return severe, _top(rest, mix.mild)


def free_mask(rng: np.random.Generator, size: tuple[int, int], percent: float) -> NDArray[np.bool_]:
    """A mask H,W of free shape that holds so many per cent of the pixels."""
    return _top(_field(rng, size), percent)


def _field(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float64]:
    noise = rng.standard_normal(size)
    smooth = cv2.GaussianBlur(noise, (0, 0), min(size) / _REGIONS / 2, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(smooth, dtype=np.float64)


def _top(field: NDArray[np.float64], percent: float) -> NDArray[np.bool_]:
    """The highest pixels, so many per cent of them."""
    count = round(field.size * percent / 100)
    mask = np.zeros(field.size, dtype=bool)
    mask[np.argsort(field, axis=None)[field.size - count :]] = True
    return mask.reshape(field.shape)
