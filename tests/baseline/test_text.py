from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from baseline.data import text as text_module
from baseline.data.datasets import open_data
from baseline.data.pages import PAGE
from baseline.data.pairs import Pair
from baseline.data.pictures import Picture
from baseline.data.text import PAIRS, PageCrops, fixed_pairs, text
from baseline.errors import UserError
from baseline.settings import DataSettings

HASHES = """
from hashlib import sha256
from itertools import islice
from baseline.data.text import fixed_pairs
for pair in islice(fixed_pairs("val"), 1):
    print(sha256(pair.blurred.tobytes() + pair.sharp.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def some_pairs() -> list[Pair]:
    """Every fourth test pair."""
    pairs = fixed_pairs("test")
    return list(pairs.only(pairs.names[::4]))


def psnr_db(pair: Pair) -> float:
    return 10 * np.log10(255**2 / np.square(pair.blurred.astype(float) - pair.sharp).mean())


def test_pairs_are_mildly_and_severely_blurred_windows_of_pages(some_pairs: list[Pair]) -> None:
    assert {pair.blurred.shape for pair in some_pairs} == {pair.sharp.shape for pair in some_pairs} == {(256, 384, 3)}
    scores = [psnr_db(pair) for pair in some_pairs]
    assert 16 < np.mean(scores) < 24
    assert max(scores) - min(scores) > 5
    # An empty window has no contrast.
    assert min(pair.sharp.std() for pair in some_pairs) > 15


def test_scored_pages_hold_held_out_words_and_every_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, bool]] = []
    reaches: list[float] = []

    def blank(seed: Sequence[int], held_out: bool) -> Picture:
        asked.append((seed[0], held_out))
        return np.zeros((*PAGE, 3), np.uint8)

    def still(picture: Picture, rng: np.random.Generator, reach: float) -> Picture:
        reaches.append(reach)
        return picture

    monkeypatch.setattr(text_module, "render_page", blank)
    monkeypatch.setattr(text_module, "shake", still)
    text_module._fixed_pair.cache_clear()
    text_module._training_page.cache_clear()
    assert len(list(fixed_pairs("test"))) == 24
    assert asked == [(72_002, True)] * 24
    assert sorted(reaches) == pytest.approx(np.linspace(0.6, 6, 24))
    PageCrops().crop(np.random.default_rng(0), 32)
    assert asked[-1] == (72_000, False)
    text_module._fixed_pair.cache_clear()
    text_module._training_page.cache_clear()


def test_every_pair_is_of_a_page_of_its_own() -> None:
    for split, count in PAIRS.items():
        assert len(fixed_pairs(split)) == count
    data = text()
    assert data.val is not None
    assert not set(data.val.names) & set(data.test.names)
    first, second = (next(iter(part)) for part in (data.val, data.test))
    assert not np.array_equal(first.sharp, second.sharp)
    assert first.group == first.name


def test_pairs_are_the_same_in_another_process(run_python: Callable[..., object]) -> None:
    pair = next(iter(fixed_pairs("val")))
    here = [sha256(pair.blurred.tobytes() + pair.sharp.tobytes()).hexdigest()]
    done = run_python("-c", HASHES)
    assert done.stdout.split() == here, done.stderr


@pytest.mark.parametrize("side", [32, 96])
def test_training_crops_are_aligned_and_seeded(side: int) -> None:
    source = PageCrops()
    blurred, sharp = source.crop(np.random.default_rng(1), side)
    again = source.crop(np.random.default_rng(1), side)
    assert blurred.shape == sharp.shape == (side, side, 3)
    assert np.array_equal(blurred, again[0])
    assert np.array_equal(sharp, again[1])
    # Blur moves light by a few pixels only: means agree.
    assert abs(blurred.mean() - sharp.mean()) < 12


def test_crops_may_be_as_large_as_a_page_is_wide() -> None:
    source = PageCrops()
    blurred, sharp = source.crop(np.random.default_rng(0), source.largest_crop)
    assert blurred.shape == sharp.shape == (544, 544, 3)


def test_the_manifest_names_what_draws_the_letters() -> None:
    manifest = text().manifest
    assert manifest["name"] == "text"
    assert {"version", "freetype"} < manifest.keys()
    assert "in one typeface, with synthetic camera shake" in text().notes[0]


def test_text_is_opened_by_its_name_and_takes_no_root() -> None:
    data = open_data(DataSettings(name="text"))
    assert (data.name, len(data.test)) == ("text", 24)
    with pytest.raises(UserError, match="data 'text' must have no root, its pages are rendered; got pages"):
        open_data(DataSettings(name="text", root=Path("pages")))
