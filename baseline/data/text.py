"""Rendered pages of text with synthetic camera shake: crops for training, fixed pairs of held-out words for scoring."""

from functools import lru_cache, partial

import numpy as np
from PIL import features

from baseline.data.blur import MAX_REACH, blurred_window, shake
from baseline.data.pages import PAGE, render_page
from baseline.data.pairs import Crops, DataSet, Pair, PairSet, crop_corner
from baseline.data.photos import MIN_REACH, reaches
from baseline.data.pictures import Picture

VERSION = 1
"""Of the pages and the fixed pairs: a change that moves one pixel of them raises it."""

PAIR_SIZE = (256, 384)
TRAINING_PAGES = 48
PAIRS = {"val": 16, "test": 24}
_SEEDS = {"train": 72_000, "val": 72_001, "test": 72_002}
_MARGIN = int(MAX_REACH) + 2


@lru_cache(maxsize=TRAINING_PAGES)
def _training_page(number: int) -> Picture:
    page = render_page([_SEEDS["train"], number], held_out=False)
    page.setflags(write=False)
    return page


class PageCrops:
    """Training crops of 48 rendered pages, each blurred by its own camera shake."""

    largest_crop = min(PAGE)

    def crop(self, rng: np.random.Generator, side: int) -> Crops:
        page = _training_page(int(rng.integers(TRAINING_PAGES)))
        corner = crop_corner(rng, page, side, "a page of text")
        reach = float(rng.uniform(MIN_REACH, MAX_REACH))
        return blurred_window(page, corner, (side, side), _MARGIN, lambda window: shake(window, rng, reach))


def fixed_pairs(split: str) -> PairSet:
    """The versioned pairs of `val` or `test`: a window of 256x384 out of each page, made from a seed."""
    strengths = reaches(PAIRS[split], np.random.default_rng(_SEEDS[split]))
    names = [f"page-{split}-{number:02d}" for number in range(PAIRS[split])]
    return PairSet({name: partial(_fixed_pair, name, (_SEEDS[split], i), strengths[i]) for i, name in enumerate(names)})


@lru_cache(maxsize=sum(PAIRS.values()))
def _fixed_pair(name: str, seed: tuple[int, int], reach: float) -> Pair:
    page = render_page(seed, held_out=True)
    rng = np.random.default_rng([*seed, 1])
    height, width = PAIR_SIZE
    corner = int(rng.integers(PAGE[0] - height + 1)), int(rng.integers(PAGE[1] - width + 1))
    blurred, sharp = blurred_window(page, corner, PAIR_SIZE, _MARGIN, lambda window: shake(window, rng, reach))
    return Pair(name, name, blurred, sharp)


def text() -> DataSet:
    """Pages rendered when asked for; the FreeType that draws the letters is part of what the data are."""
    return DataSet(
        name="text",
        train=PageCrops(),
        val=fixed_pairs("val"),
        test=fixed_pairs("test"),
        manifest={"name": "text", "version": VERSION, "freetype": features.version("freetype2")},
        notes=(
            "Data: rendered pages of invented words, in one typeface, with synthetic camera shake in linear light. "
            "Numbers on them must not be set beside numbers on photographed documents or other real blur.",
        ),
    )
