from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from baseline.data.cache import PictureCache
from baseline.data.datasets import open_data
from baseline.data.pictures import Picture, read_picture, write_picture
from baseline.errors import UserError
from baseline.settings import DataSettings

Noise = Callable[..., Picture]
WritePair = Callable[..., object]
PIXELS = 500 * 400 * 3


@pytest.fixture
def files(tmp_path: Path, noise: Noise) -> list[Path]:
    """Six pictures of 0.6 MB each, decoded."""
    paths = [tmp_path / f"{i}.png" for i in range(6)]
    for i, path in enumerate(paths):
        write_picture(noise(500, 400, seed=i), path)
    return paths


def test_pictures_that_came_first_stay_within_the_budget(files: list[Path], noise: Noise) -> None:
    cache = PictureCache(read_picture, budget_mb=2)
    for _ in range(2):
        for i, path in enumerate(files):
            assert np.array_equal(cache(path), noise(500, 400, seed=i))
    assert cache.bytes == 3 * PIXELS <= 2_000_000 < 4 * PIXELS
    assert (cache.hits, cache.misses) == (3, 9)


def test_without_a_budget_nothing_is_kept(files: list[Path]) -> None:
    cache = PictureCache(read_picture, budget_mb=0)
    cache(files[0])
    cache(files[0])
    assert (cache.hits, cache.misses, cache.bytes) == (0, 2, 0)


def test_a_cached_picture_cannot_be_written_to(files: list[Path]) -> None:
    cache = PictureCache(read_picture, budget_mb=1)
    for path in (*files[:2], *files[:2]):
        with pytest.raises(ValueError, match="read-only"):
            cache(path)[0, 0] = 0


def test_a_file_that_was_cut_short_is_named_and_not_kept(files: list[Path]) -> None:
    cache = PictureCache(read_picture, budget_mb=10)
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[:20_000])
    with pytest.raises(UserError, match=r"0\.png must be a readable picture; image file is truncated"):
        cache(files[0])
    files[0].write_bytes(whole)
    assert cache(files[0]).shape == (500, 400, 3)
    assert cache.bytes == PIXELS


class Kept(Dataset[tuple[int, int]]):
    """Reads all pictures, whatever is asked for; says how many bytes are kept and how often one was there."""

    def __init__(self, cache: PictureCache, files: list[Path]) -> None:
        self.cache = cache
        self.files = files

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[int, int]:
        for path in self.files:
            self.cache(path)
        return self.cache.bytes, self.cache.hits


def test_loader_workers_share_out_what_the_budget_leaves(files: list[Path]) -> None:
    # 4 MB, 0.6 of it taken: 1.7 MB for each of two workers, room for two pictures more.
    cache = PictureCache(read_picture, budget_mb=4)
    cache(files[0])
    loader = DataLoader(Kept(cache, files), batch_size=None, num_workers=2)
    kept = [tuple(row) for row in loader]
    assert kept == [(3 * PIXELS, 1), (3 * PIXELS, 1), (3 * PIXELS, 4), (3 * PIXELS, 4)]
    assert cache.bytes == PIXELS


@pytest.mark.parametrize("name", ["photos", "folder"])
def test_crops_are_the_same_with_and_without_a_cache(name: str, tmp_path: Path, write_pair: WritePair) -> None:
    for i in range(4):
        part = "test" if i == 3 else "train"
        write_pair(tmp_path / part / f"blur/{i}.png", tmp_path / part / f"sharp/{i}.png", seed=i)
    root = tmp_path if name == "folder" else None
    kept, fresh = (
        open_data(DataSettings(name=name, root=root, cache_mb=cache_mb)).training_crops(32) for cache_mb in (10, 0)
    )
    for seed in (*range(6), *range(6)):
        pairs = zip(
            kept.crop(np.random.default_rng(seed), 32), fresh.crop(np.random.default_rng(seed), 32), strict=True
        )
        assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_data_set_caches_within_its_settings(tmp_path: Path, write_pair: WritePair) -> None:
    for i in range(2):
        write_pair(tmp_path / f"train/blur/{i}.png", tmp_path / f"train/sharp/{i}.png", i, height=400, width=500)
    write_pair(tmp_path / "test/blur/t.png", tmp_path / "test/sharp/t.png", 9)
    source = open_data(DataSettings(name="folder", root=tmp_path, cache_mb=1)).training_crops(32)
    for seed in range(20):
        source.crop(np.random.default_rng(seed), 32)
    assert source._read.bytes == PIXELS
