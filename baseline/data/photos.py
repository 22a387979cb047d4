"""The shipped photographs: split by photograph, blurred on the fly for training, in fixed pairs for scoring."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from baseline.data.blur import MAX_REACH, Blur, blurred_window, shake
from baseline.data.cache import PictureCache
from baseline.data.pairs import Crops, DataSet, Pair, PairSet, crop_corner
from baseline.data.pictures import Picture, halve, list_pictures, read_picture

FOLDER = Path(__file__).parent.parent / "shipped" / "photos"
VERSION = 1
"""Of the fixed pairs: a change of anything below that moves one pixel of a pair raises it."""

PAIR_SIZE = (384, 512)
CROPS_PER_PHOTO = 2
MIN_REACH = 0.6
_MARGIN = int(MAX_REACH) + 2
_SEEDS = {"val": 71_001, "test": 71_002}


def load_photo(path: Path) -> Picture:
    """A photograph at the size it is used: those that are too large, or sharpened by their publisher, are halved."""
    picture = read_picture(path)
    return halve(picture) if max(picture.shape) > 1300 or path.name.startswith("erase__") else picture


def reaches(count: int, rng: np.random.Generator) -> list[float]:
    """Blur reaches for fixed pairs, evenly from mild to severe, in random order."""
    return [float(r) for r in rng.permutation(np.linspace(MIN_REACH, MAX_REACH, count))]


def fixed_pairs(split: str, blur: Blur = shake) -> PairSet:
    """The versioned pairs of `val` or `test`: two crops of 384x512 a photograph, made from a seed."""
    photos = list_pictures(FOLDER / split)
    strengths = reaches(CROPS_PER_PHOTO * len(photos), np.random.default_rng(_SEEDS[split]))
    loaders = {}
    for number, photo in enumerate(photos):
        for crop in range(CROPS_PER_PHOTO):
            reach = strengths[CROPS_PER_PHOTO * number + crop]
            name = f"{photo.stem}-{crop}"
            loaders[name] = partial(_fixed_pair, name, photo, [_SEEDS[split], number, crop], reach, blur)
    return PairSet(loaders)


def _fixed_pair(name: str, photo: Path, seed: list[int], reach: float, blur: Blur) -> Pair:
    rng = np.random.default_rng(seed)
    picture = load_photo(photo)
    height, width = PAIR_SIZE
    top = int(rng.integers(picture.shape[0] - height + 1))
    left = int(rng.integers(picture.shape[1] - width + 1))
    window = np.s_[top : top + height, left : left + width]
    return Pair(name, photo.stem, blur(picture, rng, reach)[window], picture[window])


def fixed_shake(path: Path, seed: list[int], reach: float) -> Pair:
    """A photograph at its whole size, shaken by up to `reach` pixels: always the same for a seed."""
    photo = load_photo(path)
    return Pair(path.stem, path.stem, shake(photo, np.random.default_rng(seed), reach), photo)


class PhotoCrops:
    """Training crops of sharp photographs, each blurred in its own way."""

    largest_crop = PAIR_SIZE[0]
    """The fixed pairs are of that height, and the training photographs are no smaller."""

    def __init__(self, photos: list[Path], read: Callable[[Path], Picture], blur: Blur = shake) -> None:
        self._photos = photos
        self._read = read
        self._blur = blur

    def crop(self, rng: np.random.Generator, side: int) -> Crops:
        picture = self._read(self._photos[rng.integers(len(self._photos))])
        corner = crop_corner(rng, picture, side, "a shipped photograph")
        reach = float(rng.uniform(MIN_REACH, MAX_REACH))
        return blurred_window(picture, corner, (side, side), _MARGIN, lambda window: self._blur(window, rng, reach))


def photos(cache_mb: int = 1024) -> DataSet:
    """71 public-domain photographs with synthetic camera shake, shipped with the program."""
    return DataSet(
        name="photos",
        train=PhotoCrops(list_pictures(FOLDER / "train"), PictureCache(load_photo, cache_mb)),
        val=fixed_pairs("val"),
        test=fixed_pairs("test"),
        manifest={"name": "photos", "version": VERSION},
        notes=(
            "Data: shipped public-domain photographs with synthetic camera shake in linear light. Numbers on them must "
            "not be set beside numbers on GoPro or other real blur.",
        ),
    )
