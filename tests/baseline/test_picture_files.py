import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from baseline.data.picture_files import head_of, read_stored, write_stored
from baseline.errors import UserError

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SIZE = (20, 30)


def about() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    return exif


def noise(*channels: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, (*SIZE, *channels)).astype(dtype)


def written(path: Path, pixels: np.ndarray) -> Path:
    """A file as other programs write it."""
    if pixels.dtype == np.uint16:
        assert cv2.imwrite(str(path), pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])
        return path
    kept = {} if path.suffix == ".bmp" else {"exif": about(), "icc_profile": ICC, "dpi": (300, 300)}
    Image.fromarray(pixels).save(path, **kept, lossless=True, exact=True)
    return path


@pytest.mark.parametrize(
    ("suffix", "channels"),
    [*((suffix, channels) for suffix in (".png", ".tif", ".webp") for channels in ((), (3,), (4,))), (".bmp", (3,))],
)
def test_eight_bits_come_back_whole(tmp_path: Path, suffix: str, channels: tuple[int, ...]) -> None:
    pixels = noise(*channels)
    source = written(tmp_path / f"a{suffix}", pixels)
    stored = read_stored(source)
    write_stored(stored, tmp_path / f"b{suffix}")
    with (tmp_path / f"b{suffix}").open("rb") as file, Image.open(file) as image:
        given = np.array(image)
        expected = pixels if suffix != ".webp" or channels else np.dstack([pixels] * 3)
        # Whoever reads a TIFF turns it upright.
        assert np.array_equal(given, np.rot90(expected, -1) if suffix == ".tif" else expected)
        if suffix != ".bmp":
            assert image.info["icc_profile"] == ICC
            assert image.getexif().get(0x0112) == (None if suffix == ".tif" else 6)
            assert image.getexif()[0x010F] == "maker"
            # Pillow's own TIFF, which this was made from, has lost it.
            assert suffix == ".tif" or image.getexif().get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
            assert suffix == ".webp" or tuple(map(round, image.info["dpi"])) == (300, 300)
    assert sorted(head_of(source).size) == sorted(SIZE)
    assert head_of(source).bytes == stored.pixels.nbytes + (0 if stored.alpha is None else stored.alpha.nbytes)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_sixteen_bits_come_back_whole(tmp_path: Path, suffix: str, channels: tuple[int, ...]) -> None:
    pixels = noise(*channels, dtype=np.uint16)
    source = written(tmp_path / f"a{suffix}", pixels)
    stored = read_stored(source)
    assert stored.pixels.dtype == np.uint16
    assert head_of(source).bytes == pixels.nbytes
    about_it = type(stored)(stored.pixels, stored.alpha, exif=about(), icc=ICC)
    write_stored(about_it, tmp_path / f"b{suffix}")
    read = cv2.imdecode(np.fromfile(tmp_path / f"b{suffix}", np.uint8), cv2.IMREAD_UNCHANGED)
    expected = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    turns = -1 if suffix == ".tif" else 0
    assert np.array_equal(read, np.rot90(expected, turns))
    again = read_stored(tmp_path / f"b{suffix}")
    assert np.array_equal(again.pixels, np.rot90(stored.pixels, turns))
    assert again.exif.get(0x0112) == (None if turns else 6)
    assert (again.exif[0x010F], again.icc) == ("maker", ICC)
    assert again.exif.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"


def test_jpeg_keeps_what_belongs_to_it(tmp_path: Path) -> None:
    smooth = np.dstack([np.add.outer(np.arange(20), np.arange(30)).astype(np.uint8)] * 3)
    source = written(tmp_path / "a.jpg", smooth)
    stored = read_stored(source)
    assert not stored.lossless
    assert stored.pixels.shape == (20, 30, 3), "as stored, not turned"
    write_stored(stored, tmp_path / "b.jpg")
    again = read_stored(tmp_path / "b.jpg")
    assert np.abs(again.pixels.astype(int) - smooth).max() <= 3
    assert (again.exif[0x0112], again.icc) == (6, ICC)


def test_lossy_webp_stays_so_and_a_palette_is_resolved(tmp_path: Path) -> None:
    Image.fromarray(noise(3)).save(tmp_path / "a.webp", quality=50)
    assert not read_stored(tmp_path / "a.webp").lossless
    image = Image.fromarray(noise(3)).quantize(8)
    image.save(tmp_path / "p.png", transparency=0)
    stored = read_stored(tmp_path / "p.png")
    assert stored.alpha is not None
    with Image.open(tmp_path / "p.png") as saved:
        assert np.array_equal(np.dstack([stored.pixels, stored.alpha]), np.array(saved.convert("RGBA")))
    assert set(np.unique(stored.alpha)) == {0, 255}


def bomb(path: Path, width: int, height: int) -> Path:
    """A PNG whose head says that size, and whose data are missing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 900)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.png", 10_000, 10_000)
    for look in (head_of, read_stored):
        with pytest.raises(UserError, match=r"bomb\.png must be a picture; its head says 10000x10000, too many pixels"):
            look(path)
    assert head_of(bomb(tmp_path / "small.png", 3000, 3000)).size == (3000, 3000)


def test_what_cannot_be_given_back_is_refused_by_name(tmp_path: Path) -> None:
    Image.new("LAB", (8, 8)).save(tmp_path / "lab.tif")
    Image.new("F", (8, 8)).save(tmp_path / "float.tif")
    pages = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "moving.webp", save_all=True, append_images=pages[1:])
    for name, said in (
        ("lab.tif", "must be grey or RGB, of 8 or 16 bits; it is CIE Lab. Convert it first"),
        ("float.tif", "must be grey or RGB, of 8 or 16 bits; it is float."),
        ("pages.tif", "must hold one picture; it holds 2. Take it apart first."),
        ("moving.webp", "must hold one picture; it holds 2."),
    ):
        with pytest.raises(UserError) as error:
            read_stored(tmp_path / name)
        assert said in str(error.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, dtype: type) -> None:
    source = written(tmp_path / "a.png", noise(3, dtype=dtype))
    source.write_bytes(source.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"a\.png must be a readable picture; .*\. Remove or replace the file\.$"):
        read_stored(source)


def test_a_format_that_cannot_hold_a_picture_is_refused(tmp_path: Path) -> None:
    clear = read_stored(written(tmp_path / "a.png", noise(4)))
    deep = read_stored(written(tmp_path / "d.png", noise(3, dtype=np.uint16)))
    with pytest.raises(UserError, match=r"must be a format with transparency; JPEG has none\. Add --format png"):
        write_stored(clear, tmp_path / "b.jpg")
    with pytest.raises(UserError, match=r"must be a format with 16 bits; webp has 8\. Add --format png"):
        write_stored(deep, tmp_path / "b.webp")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "d.png"]


def test_bmp_has_no_orientation_and_is_turned(tmp_path: Path) -> None:
    stored = read_stored(written(tmp_path / "a.png", noise(3)))
    write_stored(stored, tmp_path / "b.bmp")
    with Image.open(tmp_path / "b.bmp") as image:
        assert image.size == SIZE
        assert np.array_equal(np.array(image), np.rot90(stored.pixels, -1))


def test_cmyk_becomes_rgb_and_says_so(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=ICC)
    stored = read_stored(tmp_path / "a.jpg")
    assert stored.pixels.shape == (8, 8, 3)
    assert np.abs(stored.pixels.astype(int) - 200).max() <= 4
    assert stored.icc is None
    assert stored.note == "CMYK became RGB, without its colour profile"
    assert head_of(tmp_path / "a.jpg").bytes >= stored.pixels.nbytes


def test_lossless_webp_is_known_behind_a_long_profile(tmp_path: Path) -> None:
    Image.fromarray(noise(3)).save(tmp_path / "a.webp", lossless=True, icc_profile=ICC + bytes(6001))
    assert read_stored(tmp_path / "a.webp").lossless


def test_what_a_format_cannot_hold_is_told_in_one_line(tmp_path: Path) -> None:
    stored = read_stored(written(tmp_path / "a.png", noise(3)))
    wide = type(stored)(np.zeros((1, 16_400, 3), np.uint8))
    long = type(stored)(stored.pixels, xmp=b"x" * 70_000)
    for picture, name in ((wide, "w.webp"), (long, "l.jpg")):
        with pytest.raises(UserError, match=rf"{name} must be written as .*\. Add --format png, or tif\.$"):
            write_stored(picture, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_what_is_lost_is_said(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    Image.fromarray(noise(3)).save(tmp_path / "a.png", exif=exif, icc_profile=ICC)
    stored = read_stored(tmp_path / "a.png")
    assert write_stored(stored, tmp_path / "b.bmp") == "BMP holds no EXIF; BMP holds no colour profile"
    assert write_stored(stored, tmp_path / "b.png") is None
    Image.fromarray(noise(3)).save(tmp_path / "two.mpo", save_all=True, append_images=[Image.fromarray(noise(3))])
    (tmp_path / "two.mpo").rename(tmp_path / "two.jpg")
    assert read_stored(tmp_path / "two.jpg").note == "of 2 pictures, the first"


def test_damaged_exif_is_left_out_and_the_picture_is_kept(tmp_path: Path) -> None:
    # A maker that is a fraction, where TIFF wants text.
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x05\0\x01\0\0\0\x08" + bytes(7)
    Image.fromarray(noise(3)).save(tmp_path / "a.jpg", exif=exif)
    stored = read_stored(tmp_path / "a.jpg")
    assert stored.pixels.shape == noise(3).shape
    assert stored.note == "its EXIF is damaged and was left out"
    assert write_stored(stored, tmp_path / "b.jpg") == stored.note
