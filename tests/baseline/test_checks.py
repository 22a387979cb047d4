import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baseline.data.blur import shake
from baseline.data.checks import LOWEST_CORRELATION, likeness
from baseline.data.datasets import open_data
from baseline.data.pairs import DataSet, Pair
from baseline.data.photos import FOLDER, load_photo
from baseline.data.pictures import Picture, list_pictures, write_picture
from baseline.errors import UserError
from baseline.settings import DataSettings

WritePair = Callable[..., object]


def opened(root: Path, name: str = "folder") -> DataSet:
    return open_data(DataSettings(name=name, root=root))


@pytest.fixture
def folder(tmp_path: Path, write_pair: WritePair) -> Path:
    """ROOT/{train,val,test}/{blur,sharp} with three pairs each: the scenes all different, the names the same."""
    for first, part in enumerate(("train", "val", "test")):
        for i in range(3):
            place = tmp_path / part
            write_pair(place / f"blur/{i}.png", place / f"sharp/{i}.png", seed=10 * first + i)
    return tmp_path


@pytest.fixture(scope="module")
def windows() -> list[Picture]:
    """404x532 pixels from the middle of each test photograph."""
    photos = [load_photo(path) for path in list_pictures(FOLDER / "test")]
    tops = [((p.shape[0] - 404) // 2, (p.shape[1] - 532) // 2) for p in photos]
    return [p[top : top + 404, left : left + 532] for p, (top, left) in zip(photos, tops, strict=True)]


def test_a_wrong_pairing_of_equal_size_is_named(folder: Path) -> None:
    one, other = folder / "test/sharp/0.png", folder / "test/sharp/2.png"
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    with pytest.raises(UserError) as error:
        opened(folder)
    said = str(error.value)
    assert said.startswith(f"a wrong pairing: {folder / 'test/blur/0.png'} must show what {one} shows;")
    assert "under 0.35. Check the names of both." in said


def test_a_wrong_pairing_is_told_from_severe_blur_and_displacement(windows: list[Picture]) -> None:
    rng = np.random.default_rng(0)
    right = []
    for window in windows:
        blurred = shake(window, rng, 30.0)[20:, 20:]
        dark = np.clip(blurred * 0.2 + rng.normal(0, 3, blurred.shape), 0, 255).astype(np.uint8)
        right += [likeness(Pair("", "", taken, window[:-20, :-20])) for taken in (blurred, dark)]
    wrong = [likeness(Pair("", "", one, other)) for one, other in itertools.permutations(windows, 2)]
    assert min(right) > 2 * LOWEST_CORRELATION
    assert np.mean(np.array(wrong) < LOWEST_CORRELATION) > 0.75


def test_pictures_too_flat_to_tell_are_no_wrong_pairing() -> None:
    rng = np.random.default_rng(0)
    grey = [np.clip(rng.normal(90, 5, (64, 64, 3)), 0, 255).astype(np.uint8) for _ in range(2)]
    assert likeness(Pair("", "", *grey)) == 1.0
    assert likeness(Pair("", "", grey[0], np.full((64, 64, 3), 7, np.uint8))) == 1.0


def test_a_wrong_pairing_of_the_sides_is_noted(tmp_path: Path, windows: list[Picture]) -> None:
    for i, window in enumerate(windows[:3]):
        for side, picture in (("sharp", window), ("blur", shake(window, np.random.default_rng(i), 4.0))):
            (tmp_path / side).mkdir(exist_ok=True)
            write_picture(picture, tmp_path / side / f"{i}.png")
    assert not any("swapped" in note for note in opened(tmp_path).notes)
    for old, new in (("sharp", "x"), ("blur", "sharp"), ("x", "blur")):
        (tmp_path / old).rename(tmp_path / new)
    (note,) = (note for note in opened(tmp_path).notes if "swapped" in note)
    assert note.endswith("times the edges of the sharp ones: noise, or sides swapped.")


@pytest.mark.parametrize("side", ["blur", "sharp"])
def test_a_test_picture_in_training_is_named(folder: Path, side: str) -> None:
    opened(folder)
    for each in ("blur", "sharp"):
        shutil.copy(folder / f"test/{each}/1.png", folder / f"train/{each}/copy.png")
    other = "sharp" if side == "blur" else "blur"
    # The other side is written anew, at another compression: one picture in common is enough.
    again = folder / f"train/{other}/copy.png"
    Image.open(again).save(again, compress_level=1)
    with pytest.raises(UserError) as error:
        opened(folder)
    assert str(error.value) == (
        f"a test picture in training: {folder / 'test' / side / '1.png'} must be in test only; "
        f"{folder / 'train' / side / 'copy.png'} is the same file. Remove that one."
    )


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [("val", "train", "a val picture in training: "), ("test", "val", "a test picture in val: ")],
)
def test_parts_that_choose_weights_are_kept_apart_too(folder: Path, source: str, target: str, said: str) -> None:
    for side in ("blur", "sharp"):
        (folder / target / side / "link.png").symlink_to(folder / source / side / "2.png")
    with pytest.raises(UserError) as error:
        opened(folder)
    assert str(error.value).startswith(said)


def test_a_test_picture_in_training_is_known_by_its_sequence(tmp_path: Path, write_pair: WritePair) -> None:
    for seed, (part, frame) in enumerate((("train", 1), ("test", 2))):
        home = tmp_path / part / "GOPR0384_11_00"
        write_pair(home / f"blur/{frame:06}.png", home / f"sharp/{frame:06}.png", seed)
    with pytest.raises(UserError) as error:
        opened(tmp_path, "gopro")
    assert str(error.value) == (
        "a test picture in training: GOPR0384_11_00 must be in one part only; it is in train and test. "
        "Take it out of train."
    )
