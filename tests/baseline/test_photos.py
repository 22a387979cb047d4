from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baseline.data import photos
from baseline.data.pairs import Pair
from baseline.data.pictures import list_pictures

SPLITS = {"train": 51, "val": 8, "test": 12}


@pytest.fixture(scope="module")
def scored_pairs() -> list[Pair]:
    return list(photos.fixed_pairs("test"))


def psnr_db(pair: Pair) -> float:
    return 10 * np.log10(255**2 / np.square(pair.blurred.astype(float) - pair.sharp).mean())


def test_every_photograph_is_in_one_split() -> None:
    found = {split: [p.stem for p in list_pictures(photos.FOLDER / split)] for split in SPLITS}
    assert {split: len(names) for split, names in found.items()} == SPLITS
    assert len({name for names in found.values() for name in names}) == 71


def test_every_photograph_is_credited() -> None:
    listed = (photos.FOLDER / "photos.csv").read_text()
    for split in SPLITS:
        for path in list_pictures(photos.FOLDER / split):
            assert path.name in listed


def test_test_pairs_cover_mild_and_severe_blur(scored_pairs: list[Pair]) -> None:
    assert len(scored_pairs) == 24
    assert {p.blurred.shape for p in scored_pairs} == {p.sharp.shape for p in scored_pairs} == {(384, 512, 3)}
    assert len({p.group for p in scored_pairs}) == 12
    scores = [psnr_db(pair) for pair in scored_pairs]
    assert 24 < np.mean(scores) < 27
    assert max(scores) - min(scores) > 10


def test_fixed_pairs_are_fixed(scored_pairs: list[Pair]) -> None:
    again = photos.fixed_pairs("test")
    assert again.names == [p.name for p in scored_pairs]
    for name in again.names[::7]:
        (second,) = again.only([name])
        first = scored_pairs[again.names.index(name)]
        assert np.array_equal(first.blurred, second.blurred)
        assert np.array_equal(first.sharp, second.sharp)


def test_training_crops_come_from_training_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Path] = []

    def opened(path: Path) -> np.ndarray:
        used.append(path)
        return np.random.default_rng(0).integers(0, 256, (80, 90, 3), dtype=np.uint8)

    monkeypatch.setattr(photos, "load_photo", opened)
    source = photos.photos().training_crops(96)
    for seed in range(400):
        source.crop(np.random.default_rng(seed), 32)
    assert set(used) == set(list_pictures(photos.FOLDER / "train"))


@pytest.mark.parametrize("seed", range(4))
def test_crops_show_the_same_place(seed: int) -> None:
    blurred, sharp = photos.photos().training_crops(96).crop(np.random.default_rng(seed), 96)
    assert blurred.shape == sharp.shape == (96, 96, 3)
    # Blur keeps the mean colour of a place, which differs from place to place.
    tiles = (a.reshape(4, 24, 4, 24, 3).mean(axis=(1, 3)) for a in (blurred.astype(float), sharp.astype(float)))
    means, sharp_means = tiles
    assert np.abs(means - sharp_means).mean() < np.abs(means - sharp_means.mean(axis=(0, 1))).mean() / 2


def test_large_and_sharpened_photographs_are_halved() -> None:
    for path in list_pictures(photos.FOLDER / "train"):
        with Image.open(path) as image:
            width, height = image.size
        if path.name.startswith("erase__") or max(width, height) > 1300:
            assert photos.load_photo(path).shape[:2] == (height // 2, width // 2)
    assert photos.load_photo(photos.FOLDER / "train" / "explore_farm_animals__animals__cat.webp").shape[1] > 900
