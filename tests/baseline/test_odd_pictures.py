"""Pictures as people have them: each is used rightly or refused by name, wherever pictures are read."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from baseline.bounded import BoundedRestorer
from baseline.data.datasets import open_data
from baseline.data.pictures import head_size, read_picture
from baseline.errors import UserError
from baseline.evaluate import Unchanged, score
from baseline.restore import plan_outputs, restore_files
from baseline.settings import DataSettings

HEIGHT, WIDTH = 44, 58
Save = Callable[[Image.Image, Path], None]


def corrupt(image: Image.Image, path: Path) -> None:
    image.save(path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(200) + whole[middle + 200 :])


def cut_short(image: Image.Image, path: Path) -> None:
    image.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def head_only(image: Image.Image, path: Path) -> None:
    image.save(path)
    path.write_bytes(path.read_bytes()[:20])


def bad_header(image: Image.Image, path: Path) -> None:
    image.save(path)
    whole = path.read_bytes()
    size = slice(8, 12)  # of the header chunk, 13 bytes in a sound PNG
    path.write_bytes(whole[: size.start] + (5).to_bytes(4, "big") + whole[size.stop :])


def deep_grey(image: Image.Image, path: Path) -> None:
    Image.fromarray(np.asarray(image.convert("L"), dtype=np.uint16) * 257).save(path)


def deep_colour(image: Image.Image, path: Path) -> None:
    _, data = cv2.imencode(path.suffix, np.asarray(image, dtype=np.uint16)[..., ::-1] * 257)
    path.write_bytes(data.tobytes())


def grey(image: Image.Image, path: Path) -> None:
    image.convert("L").save(path)


def opaque_alpha(image: Image.Image, path: Path) -> None:
    image.convert("RGBA").save(path)


def cmyk(image: Image.Image, path: Path) -> None:
    image.convert("CMYK").save(path, quality=95)


def palette(image: Image.Image, path: Path) -> None:
    image.quantize(256).save(path)


def plain(image: Image.Image, path: Path) -> None:
    image.save(path)


def transparent(image: Image.Image, path: Path) -> None:
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(path)


def transparent_palette(image: Image.Image, path: Path) -> None:
    image.quantize(64).save(path, transparency=3)


USED: dict[str, tuple[Save, float]] = {  # with the largest mean error in grey levels that the format itself brings
    "grey.png": (grey, 0.0),
    "alpha.png": (opaque_alpha, 0.0),
    "cmyk.jpg": (cmyk, 4.0),
    "palette.png": (palette, 8.0),
    "colour.tif": (plain, 0.0),
    "夜景 模糊.png": (plain, 0.0),
}
UNREADABLE: dict[str, tuple[Save, str]] = {
    "corrupt.png": (corrupt, "must be a readable picture;"),
    "short.png": (cut_short, "must be a readable picture; image file is truncated"),
    "head.png": (head_only, "must be a readable picture;"),
    "bad_header.png": (bad_header, "must be a readable picture; Truncated IHDR chunk"),
    "deep_grey.png": (deep_grey, "must have 8 bits a channel; it has more. Convert it first."),
    "deep_colour.png": (deep_colour, "must have 8 bits a channel; it has more. Convert it first."),
    "deep_grey.tif": (deep_grey, "must have 8 bits a channel; it has more. Convert it first."),
    "deep_colour.tif": (deep_colour, "must have 8 bits a channel; it has more. Convert it first."),
}
TRANSPARENT: dict[str, tuple[Save, str]] = {
    "transparent.png": (transparent, "must be opaque to be one of a pair; it is partly transparent. Flatten it first."),
    "transparent_palette.png": (transparent_palette, "must be opaque to be one of a pair;"),
}


@pytest.fixture
def scene(write_pair: Callable[..., tuple[np.ndarray, np.ndarray]], tmp_path: Path) -> Image.Image:
    """One picture that the odd ones are made of."""
    blurred, _ = write_pair(tmp_path / "made/b.png", tmp_path / "made/s.png", 5, HEIGHT, WIDTH)
    return Image.fromarray(blurred)


def expected(name: str, scene: Image.Image) -> np.ndarray:
    """What the picture shows, after ITU-R 601 for the grey one."""
    colours = np.asarray(scene, dtype=float)
    if name != "grey.png":
        return colours
    return np.repeat(np.rint(colours @ (0.299, 0.587, 0.114))[..., None], 3, axis=-1)


@pytest.mark.parametrize("name", USED)
def test_an_odd_picture_is_read_rightly(name: str, scene: Image.Image, tmp_path: Path) -> None:
    save, error = USED[name]
    save(scene, tmp_path / name)
    picture = read_picture(tmp_path / name)
    assert picture.dtype == np.uint8
    assert head_size(tmp_path / name) == (WIDTH, HEIGHT) == picture.shape[1::-1]
    difference = np.abs(picture - expected(name, scene))
    assert difference.mean() <= error + 0.5 * (name == "grey.png")
    assert difference.max() <= (1 if error == 0 else 60)


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_picture_is_refused_in_one_line(name: str, scene: Image.Image, tmp_path: Path) -> None:
    save, said = UNREADABLE[name]
    save(scene, tmp_path / name)
    with pytest.raises(UserError) as error:
        read_picture(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name} {said}")
    assert "\n" not in str(error.value)


def test_odd_pictures_serve_as_data(scene: Image.Image, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for side in ("blur", "sharp"):
            (tmp_path / part / side).mkdir(parents=True)
        for i, (name, (save, _)) in enumerate(USED.items()):
            shown = scene.rotate(180) if part == "train" else scene
            save(shown.point(lambda level, i=i: level - i), tmp_path / part / "blur" / name)
            save(shown, tmp_path / part / "sharp" / name)
    data = open_data(DataSettings(name="folder", root=tmp_path))
    source = data.training_crops(32)
    crops = [source.crop(np.random.default_rng(seed), 32) for seed in range(20)]
    assert {picture.shape for pair in crops for picture in pair} == {(32, 32, 3)}
    scores = score(Unchanged(), data.test)
    assert [s.name for s in scores] == sorted(Path(name).stem for name in USED)
    assert min(s.psnr_db for s in scores) > 25


@pytest.mark.parametrize("name", [*UNREADABLE, *TRANSPARENT])
@pytest.mark.parametrize("part", ["train", "test"])
def test_data_with_an_unusable_picture_is_refused_by_name(
    name: str, part: str, scene: Image.Image, tmp_path: Path, write_pair: Callable[..., object]
) -> None:
    save, said = (UNREADABLE | TRANSPARENT)[name]
    for seed, each in enumerate(("train", "train", "test")):
        stem = f"{seed}"
        write_pair(tmp_path / each / f"blur/{stem}.png", tmp_path / each / f"sharp/{stem}.png", seed, HEIGHT, WIDTH)
    scene.save(tmp_path / part / "sharp" / name)
    save(scene, tmp_path / part / "blur" / name)
    with pytest.raises(UserError) as error:
        open_data(DataSettings(name="folder", root=tmp_path))
    assert str(error.value).startswith(f"{tmp_path / part / 'blur' / name} {said}")
    assert "\n" not in str(error.value)


def test_restore_does_what_it_can_and_names_the_rest(scene: Image.Image, tmp_path: Path) -> None:
    inside, out = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    for name, (save, _) in (USED | UNREADABLE | TRANSPARENT).items():
        save(scene.copy(), inside / name)
    planned = plan_outputs([inside], out)
    done = {one.source.name: one for one in restore_files(BoundedRestorer(Unchanged(), 10**9), planned)}
    # What is no 8-bit data to train on can be restored all the same, and stays as deep as it is.
    unreadable = {name for name in UNREADABLE if not name.startswith("deep")}
    assert {name for name, one in done.items() if one.error is not None} == unreadable
    for name, one in done.items():
        if one.error is not None:
            assert one.error.startswith(f"{inside / name} {UNREADABLE[name][1]}")
        elif name in UNREADABLE:
            given, kept = (cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED) for folder in (inside, out))
            assert kept.dtype == np.uint16
            assert np.array_equal(given, kept)
        else:
            assert np.abs(read_picture(out / name) - expected(name, scene)).mean() < 12
