"""The shipped photographs as pictures of real scenes are: shaken all over, blurred in part, or sharp."""

import numpy as np

from baseline.data.blur import photographed, shake, to_linear
from baseline.data.cache import PictureCache
from baseline.data.moving import move_object, move_object_and_shake, still_object
from baseline.data.pairs import DataSet
from baseline.data.photos import FOLDER, PhotoCrops, fixed_pairs, load_photo
from baseline.data.pictures import Picture, list_pictures

VERSION = 1
"""Of the fixed pairs: a change of anything below that moves one pixel of a pair raises it."""


def stay_sharp(picture: Picture, rng: np.random.Generator, _reach: float) -> Picture:
    """The picture with a sensor's noise and no blur, whatever the reach."""
    return photographed(to_linear(picture), rng)


BLURS = {shake: 0.45, move_object: 0.15, still_object: 0.1, move_object_and_shake: 0.1, stay_sharp: 0.2}
"""The share of the pictures that come about in each way."""


def partly(picture: Picture, rng: np.random.Generator, reach: float) -> Picture:
    """The picture, blurred in one of the ways of `BLURS` by up to `reach` pixels, or not at all."""
    kind = int(rng.choice(len(BLURS), p=list(BLURS.values())))
    return list(BLURS)[kind](picture, rng, reach)


def partly_blurred_photos(cache_mb: int = 1024) -> DataSet:
    """The photographs of `photos`, in the same splits."""
    return DataSet(
        name="photos-partly",
        train=PhotoCrops(list_pictures(FOLDER / "train"), PictureCache(load_photo, cache_mb), partly),
        val=fixed_pairs("val", partly),
        test=fixed_pairs("test", partly),
        manifest={"name": "photos-partly", "version": VERSION},
        notes=(
            "Data: shipped public-domain photographs with synthetic blur, a fifth of them without any. Numbers on them "
            "must not be set beside numbers on real blur.",
        ),
    )
