from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from baseline.data.datasets import hold_out, open_data
from baseline.data.pairs import DataSet, PairFiles
from baseline.data.pictures import Picture, read_picture
from baseline.errors import UserError
from baseline.settings import DataSettings

Noise = Callable[..., Picture]


def write(picture: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def opened(name: str, root: Path) -> DataSet:
    return open_data(DataSettings(name=name, root=root))


@pytest.fixture
def folder(tmp_path: Path, noise: Noise) -> Path:
    """ROOT/{train,test}/{blur,sharp} with six and two pairs, all pixels of different pictures different."""
    for split, count in (("train", 6), ("test", 2)):
        for i in range(count):
            write(noise(seed=i), tmp_path / split / "blur" / f"{i}.png")
            write(noise(seed=100 + i), tmp_path / split / "sharp" / f"{i}.png")
    return tmp_path


def test_a_folder_has_its_pairs(folder: Path, noise: Noise) -> None:
    data = opened("folder", folder)
    pairs = list(data.test)
    assert [p.name for p in pairs] == ["0", "1"]
    assert np.array_equal(pairs[1].blurred, noise(seed=1))
    assert np.array_equal(pairs[1].sharp, noise(seed=101))
    assert data.val is not None
    assert len(data.val) == 1


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


def test_a_folder_of_pairs_is_there_to_score(tmp_path: Path, noise: Noise) -> None:
    for side in ("blur", "sharp"):
        write(noise(), tmp_path / "数据" / side / "模糊 1.png")
    data = opened("folder", tmp_path / "数据")
    assert [p.name for p in data.test] == ["模糊 1"]
    with pytest.raises(UserError, match="data 'folder' must have a training part; it holds test pairs only"):
        data.training_crops(32)


def test_gopro_has_sequences(tmp_path: Path, noise: Noise) -> None:
    for split, sequences in (("train", ("A", "B", "C")), ("test", ("D",))):
        for sequence in sequences:
            for side in ("blur", "blur_gamma", "sharp"):
                for frame in ("000047", "000048"):
                    seed = hash((sequence, side, frame)) % 1000
                    write(noise(seed=seed), tmp_path / split / f"GOPR_{sequence}" / side / f"{frame}.png")
    data = opened("gopro", tmp_path)
    assert data.test.names == ["GOPR_D/000047", "GOPR_D/000048"]
    assert {p.group for p in data.test} == {"GOPR_D"}
    assert data.val is not None
    assert {p.group for p in data.val} == {"GOPR_C"}
    pair = next(iter(data.test))
    assert np.array_equal(pair.blurred, read_picture(tmp_path / "test/GOPR_D/blur/000047.png"))


def test_the_manifest_changes_with_the_files(folder: Path, noise: Noise) -> None:
    before = opened("folder", folder).manifest
    assert opened("folder", folder).manifest == before
    for side in ("blur", "sharp"):
        write(noise(64, 64), folder / "test" / side / "0.png")
    assert opened("folder", folder).manifest != before


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
    return root / "test/sharp"


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
        (missing_folder, "must be a folder of pictures; there is no such folder"),
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
        ({"name": "gopor"}, "no data set 'gopor'. Did you mean 'gopro'? Known: folder, gopro, photos."),
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
    Image.fromarray(noise(8, 12)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "turned.png"), np.rot90(noise(8, 12), -1))
