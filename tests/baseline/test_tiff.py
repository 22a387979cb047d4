"""TIFF files of other programs: right, or refused by name, never other colours."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from baseline.data.picture_files import head_of, read_stored, write_stored
from baseline.data.pictures import Picture
from baseline.data.stored import Stored
from baseline.errors import UserError

KINDS: dict[str, dict[str, object]] = {
    "plain": {},
    "big endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "planes": {"planarconfig": "separate"},
    "planes of a BigTIFF": {"planarconfig": "separate", "bigtiff": True},
    "big endian planes": {"planarconfig": "separate", "byteorder": ">"},
    "deflated differences": {"compression": "zlib", "predictor": True},
    "deflated differences, big endian": {"compression": "zlib", "predictor": True, "byteorder": ">"},
    "tiles": {"tile": (32, 16)},
    "tiles of planes": {"tile": (16, 16), "planarconfig": "separate", "compression": "zlib"},
    "strips": {"rowsperstrip": 7, "compression": "zlib"},
}


def seen(photo: Picture, bits: int) -> np.ndarray:
    """A part of a photograph, with levels between those of 8 bits if it has 16."""
    part = photo[:45, :61]
    return part if bits == 8 else part.astype(np.uint16) * 256 + np.arange(61, dtype=np.uint16)[:, None]


def written(path: Path, pixels: np.ndarray, **kind: object) -> Path:
    """A TIFF as another program writes it; H,W,C also where it lies in planes."""
    stored = np.moveaxis(pixels, -1, 0) if kind.get("planarconfig") == "separate" else pixels
    tifffile.imwrite(path, stored, **({"photometric": "rgb"} | kind))
    return path


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_colours_are_read_however_they_lie(tmp_path: Path, photo: Picture, kind: str, bits: int) -> None:
    pixels = seen(photo, bits)
    path = written(tmp_path / "a.tif", pixels, **KINDS[kind])
    stored = read_stored(path)
    assert (stored.alpha, stored.note) == (None, None)
    assert np.array_equal(stored.pixels, pixels)
    assert (head_of(path).size, head_of(path).bytes) == (pixels.shape[:2], pixels.nbytes)


@pytest.mark.parametrize("suffix", [".tif", ".lzw.tif"])
def test_lzw_of_other_libraries_is_read(tmp_path: Path, photo: Picture, suffix: str) -> None:
    pixels = seen(photo, 16)
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":  # OpenCV takes LZW of differences for TIFF
        assert cv2.imwrite(str(path), pixels[..., ::-1])
    else:
        pixels = pixels[..., :1]
        Image.fromarray(pixels[..., 0]).save(path, compression="tiff_lzw")
    assert np.array_equal(read_stored(path).pixels, pixels)


@pytest.mark.parametrize("bits", [8, 16])
def test_white_is_zero_is_no_negative(tmp_path: Path, photo: Picture, bits: int) -> None:
    grey = seen(photo, bits)[..., 0]
    path = written(tmp_path / "a.tif", 2**bits - 1 - grey, photometric="miniswhite")
    stored = read_stored(path)
    assert np.array_equal(stored.pixels[..., 0], grey)
    write_stored(stored, tmp_path / "b.tif")
    assert np.array_equal(cv2.imread(str(tmp_path / "b.tif"), cv2.IMREAD_UNCHANGED), grey)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("extra", "note"),
    [
        (["unassalpha"], None),
        (["unspecified"], "1 more channels, of no stated meaning, were left out"),
        (["unspecified", "unassalpha"], "1 more channels, of no stated meaning, were left out"),
    ],
)
def test_extra_samples_are_what_they_say(
    tmp_path: Path, photo: Picture, bits: int, extra: list[str], note: str | None
) -> None:
    pixels, alpha = seen(photo, bits), seen(photo, bits)[::-1, :, 0]
    others = [np.zeros_like(alpha)] * (len(extra) - 1)
    stored = read_stored(written(tmp_path / "a.tif", np.dstack([pixels, *others, alpha]), extrasamples=extra))
    assert np.array_equal(stored.pixels, pixels)
    assert stored.note == note
    if extra[-1] == "unspecified":
        assert stored.alpha is None
    else:
        assert np.array_equal(stored.alpha, alpha)


def test_grey_with_transparency_stays_so(tmp_path: Path, photo: Picture) -> None:
    grey, alpha = seen(photo, 16)[..., :1], seen(photo, 16)[..., 1]
    both = np.dstack([grey, alpha])
    path = written(tmp_path / "a.tif", both, photometric="minisblack", extrasamples=["unassalpha"])
    write_stored(read_stored(path), tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert np.array_equal(file.pages[0].asarray(), both)
        assert file.pages[0].extrasamples == (2,)


@pytest.mark.parametrize("bits", [8, 16])
def test_premultiplied_colours_become_straight(tmp_path: Path, photo: Picture, bits: int) -> None:
    most = 2**bits - 1
    pixels, alpha = seen(photo, bits), np.full((45, 61), most, np.uint16)
    alpha[:, 30:], alpha[:5] = most // 4, 0
    stored = np.rint(pixels.astype(float) * alpha[..., None] / most).astype(pixels.dtype)
    path = written(tmp_path / "a.tif", np.dstack([stored, alpha.astype(pixels.dtype)]), extrasamples=["assocalpha"])
    read = read_stored(path)
    assert np.array_equal(read.alpha, alpha * (65535 // most))
    off = np.abs(read.pixels[5:].astype(float) * most / 65535 - pixels[5:])
    assert off[:, :30].max() < 0.01
    assert off.max() <= 2.1
    assert read.note == ("its premultiplied colours of 8 bits became straight ones of 16" if bits == 8 else None)
    assert head_of(path).bytes == read.pixels.nbytes + read.alpha.nbytes


def test_a_fourth_channel_without_a_word_is_transparency_and_said(tmp_path: Path, photo: Picture) -> None:
    four = np.dstack([seen(photo, 16), seen(photo, 16)[..., 1]])
    assert cv2.imwrite(str(tmp_path / "a.tif"), four[..., [2, 1, 0, 3]])  # OpenCV says nothing of it
    stored = read_stored(tmp_path / "a.tif")
    assert np.array_equal(np.dstack([stored.pixels, stored.alpha]), four)
    assert stored.note == "its last channel, of no stated meaning, was taken for transparency"
    write_stored(stored, tmp_path / "b.tif")
    again = read_stored(tmp_path / "b.tif")
    assert np.array_equal(np.dstack([again.pixels, again.alpha]), four)
    assert again.note is None


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_is_turned_upright(tmp_path: Path, photo: Picture, turn: int) -> None:
    path = written(tmp_path / "a.tif", seen(photo, 8), extratags=[(274, "H", 1, turn, True)])
    stored = read_stored(path)
    with path.open("rb") as file, Image.open(file) as image:
        assert np.array_equal(stored.pixels, np.asarray(image))
    assert 274 not in stored.exif


def test_what_its_xmp_says_of_the_turn_is_not_done_twice(tmp_path: Path, photo: Picture) -> None:
    stored = Stored(seen(photo, 8), xmp=b'<x tiff:Orientation="6"/>')
    write_stored(stored, tmp_path / "a.tif")
    with (tmp_path / "a.tif").open("rb") as file, Image.open(file) as image:
        assert np.array_equal(np.asarray(image), stored.pixels)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ({"dtype": np.float32}, "it is float"),
        ({"dtype": np.int16}, "it is of signed numbers"),
        ({"dtype": np.uint32}, "it is of 32 bits, packed in a way that is not read here"),
        ({"photometric": "cielab"}, "CIE Lab"),
        ({"photometric": "separated", "channels": 4}, "it is CMYK of 16 bits"),
        ({"photometric": "separated", "channels": 4, "planarconfig": "separate", "dtype": np.uint8}, "in planes"),
        ({"byteorder": ">", "bigtiff": True}, "it is a big-endian BigTIFF"),
    ],
)
def test_other_kinds_are_refused_by_name(tmp_path: Path, kind: dict[str, object], said: str) -> None:
    pixels = np.ones((20, 30, kind.pop("channels", 3)), kind.pop("dtype", np.uint16))
    path = written(tmp_path / "a.tif", pixels, **kind)
    for look in (head_of, read_stored):
        with pytest.raises(UserError, match=said) as error:
            look(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_cut_short_is_refused(tmp_path: Path, photo: Picture, compression: str | None) -> None:
    path = written(tmp_path / "a.tif", seen(photo, 16), compression=compression, rowsperstrip=8)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match=r"must be a readable picture; .*Remove or replace the file\.$"):
        read_stored(path)


def test_palettes_and_few_bits_are_left_to_pillow(tmp_path: Path, photo: Picture) -> None:
    image = Image.fromarray(seen(photo, 8))
    for kept, name in ((image.quantize(16), "p"), (image.convert("1"), "1"), (image.convert("CMYK"), "c")):
        kept.save(tmp_path / f"{name}.tif")
        mode = "RGB" if name != "1" else "L"
        stored = read_stored(tmp_path / f"{name}.tif").pixels
        assert np.array_equal(stored if mode == "RGB" else stored[..., 0], np.asarray(kept.convert(mode)))
    kept.save(tmp_path / "y.tif", compression="jpeg", quality=95)


def test_layers_of_photoshop_are_not_taken_for_restored_ones(tmp_path: Path, photo: Picture) -> None:
    layers = b"Adobe Photoshop Document Data Block\0"
    path = written(tmp_path / "a.tif", seen(photo, 8), extratags=[(37724, "B", len(layers), layers, True)])
    stored = read_stored(path)
    assert stored.note == "its Photoshop layers, which are not restored, were left out"
    write_stored(stored, tmp_path / "b.tif")
    assert layers not in (tmp_path / "b.tif").read_bytes()
