import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from baseline.data.datasets import hold_out, open_data
from baseline.data.pairs import DataSet, PairFiles
from baseline.data.pictures import Picture, head_size, read_picture
from baseline.errors import UserError
from baseline.evaluate import Unchanged, score
from baseline.settings import DataSettings

Noise = Callable[..., Picture]
WritePair = Callable[..., tuple[Picture, Picture]]


def write(picture: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def opened(name: str, root: Path) -> DataSet:
    return open_data(DataSettings(name=name, root=root))


@pytest.fixture
def folder(tmp_path: Path, write_pair: WritePair) -> Path:
    """ROOT/{train,test}/{blur,sharp} with six and two pairs, each of its own scene."""
    for split, count, first in (("train", 6, 0), ("test", 2, 100)):
        for i in range(count):
            write_pair(tmp_path / split / f"blur/{i}.png", tmp_path / split / f"sharp/{i}.png", seed=first + i)
    return tmp_path


def test_a_folder_has_its_pairs(folder: Path) -> None:
    data = opened("folder", folder)
    pairs = list(data.test)
    assert [p.name for p in pairs] == ["0", "1"]
    assert np.array_equal(pairs[1].blurred, np.array(Image.open(folder / "test/blur/1.png")))
    assert np.array_equal(pairs[1].sharp, np.array(Image.open(folder / "test/sharp/1.png")))
    assert data.val is not None
    assert data.val.names == ["5"]
    assert data.notes == (
        "Data: pairs of the user's own. Numbers on them compare only with numbers on the same pairs.",
        "Of the 6 training pairs, 1 are held out to validate on.",
    )


def test_crops_are_cut_at_the_same_place(folder: Path) -> None:
    blurred, sharp = opened("folder", folder).training_crops(32).crop(np.random.default_rng(0), 32)
    files = [
        (read_picture(folder / f"train/blur/{i}.png"), read_picture(folder / f"train/sharp/{i}.png")) for i in range(6)
    ]
    places = [
        (b, s, top, left)
        for b, s in files
        for top in range(17)
        for left in range(33)
        if np.array_equal(b[top : top + 32, left : left + 32], blurred)
    ]
    ((_, whole, top, left),) = places
    assert np.array_equal(whole[top : top + 32, left : left + 32], sharp)


def test_a_folder_of_pairs_is_there_to_score(tmp_path: Path, write_pair: WritePair) -> None:
    write_pair(tmp_path / "数据/blur/模糊 1.png", tmp_path / "数据/sharp/模糊 1.png")
    data = opened("folder", tmp_path / "数据")
    assert [p.name for p in data.test] == ["模糊 1"]
    with pytest.raises(UserError, match="data 'folder' must have a training part; it holds test pairs only"):
        data.training_crops(32)


def test_sides_that_are_no_multiples_of_4_work_everywhere(tmp_path: Path, write_pair: WritePair) -> None:
    for part, seed in (("train", 0), ("train", 1), ("test", 2)):
        place = tmp_path / part
        write_pair(place / f"input/{seed}.png", place / f"target/{seed}.png", seed, height=45 + 2 * seed, width=61)
    data = opened("folder", tmp_path)
    blurred, sharp = data.training_crops(45).crop(np.random.default_rng(0), 45)
    assert blurred.shape == sharp.shape == (45, 45, 3)

    class FourAtATime(Unchanged):
        size_multiple, min_size = 4, 8

        def __call__(self, blurred):
            assert blurred.shape[-2] % 4 == blurred.shape[-1] % 4 == 0
            return blurred

    (found,), (expected,) = score(FourAtATime(), data.test), score(Unchanged(), data.test)
    assert found == expected


def test_files_that_are_no_pictures_are_noted(folder: Path) -> None:
    (folder / "train/blur/list.txt").write_text("0.png")
    (folder / "test/sharp/1.heic").write_bytes(b"ftypheic")
    (folder / "test/sharp/.DS_Store").write_bytes(b"")
    notes = opened("folder", folder).notes
    assert "Left out: 2 files beside the pictures whose kind is not read, the first 1.heic." in notes


def test_the_manifest_changes_with_the_files(folder: Path, write_pair: WritePair) -> None:
    before = opened("folder", folder).manifest
    assert opened("folder", folder).manifest == before
    write_pair(folder / "test/blur/0.png", folder / "test/sharp/0.png", seed=7, height=64)
    assert opened("folder", folder).manifest != before


def test_the_manifest_changes_with_the_groups(folder: Path) -> None:
    manifests = []
    for sources in ("ab", "aa"):
        pairs = [{"name": str(i), "source": source} for i, source in enumerate(sources)]
        (folder / "pairs.json").write_text(json.dumps({"pairs": pairs}))
        manifests.append(opened("folder", folder).manifest)
    two, one = manifests
    assert [pair[:2] for pair in two["test"]] == [["0", "a"], ["1", "b"]]
    assert [pair[:2] for pair in one["test"]] == [["0", "a"], ["1", "a"]]


def test_the_manifest_knows_which_part_a_pair_is_in(folder: Path) -> None:
    (folder / "pairs.json").write_text(json.dumps({"pairs": [{"name": f"{i}", "source": f"{i}"} for i in range(6)]}))
    last_held_out = opened("folder", folder).manifest
    # Another group is the last in order, and so the one held out to validate on.
    (folder / "pairs.json").write_text(json.dumps({"pairs": [{"name": "4", "source": "z"}]}))
    other_held_out = opened("folder", folder).manifest
    assert [pair[0] for pair in last_held_out["val"]] == ["5"]
    assert [pair[0] for pair in other_held_out["val"]] == ["4"]
    sharp = folder / "train/sharp/4.png"
    assert other_held_out["val"][0][-3:] == [str(sharp), sharp.stat().st_size, sharp.stat().st_mtime_ns]


def unpaired(root: Path) -> Path:
    (root / "test/sharp/1.png").unlink()
    return root / "test/blur/1.png"


def truncated(root: Path) -> Path:
    path = root / "test/blur/1.png"
    path.write_bytes(path.read_bytes()[:2000])
    return path


def no_picture(root: Path) -> Path:
    (root / "train/sharp/3.png").write_text("hello")
    return root / "train/sharp/3.png"


def other_size(root: Path) -> Path:
    return write(np.zeros((48, 60, 3), np.uint8), root / "test/blur/1.png")


def deep_grey(root: Path) -> Path:
    return write(np.full((48, 64), 300, np.uint16), root / "test/blur/0.png")


def deep_colour(root: Path) -> Path:
    cv2.imwrite(str(root / "test/blur/0.png"), np.full((48, 64, 3), 300, np.uint16))
    return root / "test/blur/0.png"


def missing_folder(root: Path) -> Path:
    (root / "test/sharp").rename(root / "test/gt")
    return root / "test"


def two_of_one_name(root: Path) -> Path:
    write(np.zeros((48, 64, 3), np.uint8), root / "test/blur/1.jpg")
    return root / "test/blur/1.png"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (unpaired, "must have a partner of the same name in"),
        (truncated, "must be a readable picture; image file is truncated"),
        (no_picture, "must be a readable picture; cannot identify image file"),
        (other_size, "they are 60x48 and 64x48"),
        (deep_grey, "must have 8 bits a channel"),
        (deep_colour, "must have 8 bits a channel"),
        (missing_folder, "must hold blur/ and sharp/, or input/ and target/; it holds blur/ only."),
        (two_of_one_name, "must have a name of its own"),
    ],
)
def test_a_file_that_is_wrong_is_named(folder: Path, damage: Callable[[Path], Path], said: str) -> None:
    path = damage(folder)
    with pytest.raises(UserError) as error:
        list(opened("folder", folder).test)
    assert str(path) in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "folder"}, "data 'folder' must have a root folder; none was given. Add data.root, or --root DIR."),
        ({"name": "gopro", "root": Path("/nowhere")}, "must have an existing root folder; there is no /nowhere"),
        ({"name": "photos", "root": Path("/tmp")}, "data 'photos' must have no root, it is shipped; got /tmp"),
        ({"name": "gopor"}, "no data set 'gopor'. Did you mean 'gopro'? Known: folder, gopro, gopro-gamma, hide, "),
    ],
)
def test_a_data_set_that_is_not_there_says_what_to_type(settings: dict[str, object], said: str) -> None:
    with pytest.raises(UserError) as error:
        open_data(DataSettings(**settings))
    assert said in str(error.value)


@pytest.mark.parametrize(("groups", "held"), [(1, []), (2, [1]), (19, [18]), (20, [19]), (41, [19, 39])])
def test_some_groups_are_held_out_but_never_the_only_one(groups: int, held: list[int]) -> None:
    files = [PairFiles(f"{g}/{i}", f"{g:03}", Path("b"), Path("s")) for g in range(groups) for i in range(2)]
    train, val = hold_out(files)
    assert sorted({p.group for p in val}) == [f"{g:03}" for g in held]
    assert len(train) + len(val) == len(files)
    assert train
    assert not {p.group for p in train} & {p.group for p in val}


def grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


def with_alpha(image: Image.Image) -> Image.Image:
    image.putalpha(128)
    return image


def palette(image: Image.Image) -> Image.Image:
    return image.convert("P", palette=Image.Palette.ADAPTIVE)


def cmyk(image: Image.Image) -> Image.Image:
    return image.convert("CMYK")


@pytest.mark.parametrize(
    ("change", "suffix", "colour"),
    [
        (grey, "png", (124, 124, 124)),  # ITU-R 601: 0.299 R + 0.587 G + 0.114 B
        (with_alpha, "png", (200, 100, 50)),
        (palette, "png", (200, 100, 50)),
        (cmyk, "jpg", (200, 100, 50)),
        (with_alpha, "webp", (200, 100, 50)),
    ],
)
def test_other_colour_models_are_read_as_rgb(
    tmp_path: Path, change: Callable[[Image.Image], Image.Image], suffix: str, colour: tuple[int, ...]
) -> None:
    path = tmp_path / f"picture.{suffix}"
    change(Image.new("RGB", (24, 16), (200, 100, 50))).save(path)
    picture = read_picture(path)
    assert picture.shape == (16, 24, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_allclose(picture.reshape(-1, 3).mean(axis=0), colour, atol=3)


def test_a_picture_is_read_upright(tmp_path: Path, noise: Noise) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # EXIF: the top of the scene is on the right of the stored rows.
    for suffix in ("png", "jpg", "webp"):
        Image.fromarray(noise(8, 12)).save(tmp_path / f"turned.{suffix}", exif=exif)
        assert head_size(tmp_path / f"turned.{suffix}") == (8, 12)
    assert np.array_equal(read_picture(tmp_path / "turned.png"), np.rot90(noise(8, 12), -1))
