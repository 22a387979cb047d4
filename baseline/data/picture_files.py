"""Picture files as they are stored: 8 or 16 bits, grey or colour, with alpha and with what else the file says."""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin
from PIL.TiffImagePlugin import TiffImageFile

from baseline.atomic import whole_file
from baseline.data import jpeg_segments, png_chunks, xmp
from baseline.data.exif import read_exif
from baseline.data.pictures import JPEG_SUFFIXES
from baseline.data.stored import Chunk, Head, Pixels, Stored, other_kind, several
from baseline.data.tiff import LAYOUT, ORIENTATION, Tiff, is_tiff
from baseline.data.tiff_writing import tiff_bytes
from baseline.errors import UserError, unknown_name

FORMATS = ("png", "jpg", "webp", "tif", "bmp")
"""What pictures can be written as, by the suffix that asks for it."""

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr", "CMYK", "I;16")
_GREY = ("1", "L", "LA", "I;16")
_KINDS = {"LAB": "CIE Lab", "HSV": "HSV", "F": "float", "I": "of 32 bits"}
_TIFF_SUFFIXES = (".tif", ".tiff")
_NAMES = dict.fromkeys(JPEG_SUFFIXES, "JPEG") | {".tif": "TIFF", ".tiff": "TIFF", ".webp": "WebP", ".bmp": "BMP"}
_RIFF_HEAD = 12
_RAISED = (ValueError, TypeError, LookupError, EOFError, OverflowError, struct.error, zlib.error)
"""By Pillow and by us on files that are damaged, and on what a format cannot hold."""
_BOMB_PIXELS = 25_000_000
_PIXELS_A_BYTE = 2000
"""A file says more pixels than that for each of its bytes: nothing worth restoring; PNG reaches 1,000 on one colour."""


def check_format(name: str | None) -> None:
    """A UserError if pictures cannot be written as that; None keeps the format that they have."""
    if name is not None and name not in FORMATS:
        raise unknown_name("format", name, FORMATS)


def head_of(path: Path) -> Head:
    """What the head says, nothing decoded; a UserError for what is no picture, or one that cannot be restored."""
    with _opened(path) as image:
        if isinstance(image, Tiff):
            return image.head
        deep = _is_deep_png(image, path)
        grey = png_chunks.is_grey(path) if deep else image.mode in _GREY
        return Head(image.size[::-1], ((1 if grey else 3) + image.has_transparency_data) * (2 if deep else 1))


def read_stored(path: Path) -> Stored:
    """The picture with all that belongs to it; a UserError names a file that is not one whole picture."""
    with _opened(path) as image:
        return image.stored() if isinstance(image, Tiff) else _stored(image, path)


def _stored(image: Image.Image, path: Path) -> Stored:
    deep, cmyk, is_jpeg = _is_deep_png(image, path), image.mode == "CMYK", image.format in ("JPEG", "MPO")
    # A picture that is cut short fails here, also where OpenCV would read on without a word.
    image.load()
    pixels, alpha = _deep_pixels(path) if deep else _pixels(image)
    exif, damaged = read_exif(image.getexif)
    if isinstance(image, TiffImageFile):
        for tag in {*LAYOUT, ORIENTATION}.intersection(exif):
            del exif[tag]
    held = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    about, told = xmp.alone(held.encode() if isinstance(held, str) else held) if held else (None, None)
    chunks, others = png_chunks.read_chunks(path) if image.format == "PNG" else ((), [])
    segments, unread = jpeg_segments.read_segments(path) if is_jpeg else ((), [])
    count = getattr(image, "n_frames", 1)
    more = f"of {count} pictures, the first" if count > 1 else None
    lost = ["CMYK became RGB, without its colour profile" if cmyk else None, damaged, more, told, *others, *unread]
    return Stored(
        pixels,
        alpha,
        lossless=not is_jpeg and not _is_lossy_webp(image, path),
        exif=exif,
        icc=None if cmyk else image.info.get("icc_profile"),
        xmp=about,
        dpi=image.info.get("dpi"),
        png=chunks,
        jpeg=segments,
        note="; ".join(filter(None, lost)) or None,
    )


def lift_limit() -> None:
    """Pillow's own limit on pixels, for the whole process, hits real pictures; ours looks at the file's size, too."""
    Image.MAX_IMAGE_PIXELS = None


def write_stored(stored: Stored, path: Path, settle: Callable[[Path], None] = lambda _: None) -> str | None:
    """Write in the format of the name; the file appears whole or not at all. Returns all that could not be kept.

    `settle` is told of the whole file before it gets its name. A UserError if the format cannot hold the picture: JPEG
    no alpha, and only PNG and TIFF more than 8 bits.
    """
    suffix = path.suffix.lower()
    if stored.alpha is not None and suffix in JPEG_SUFFIXES:
        raise UserError(f"{path} must be a format with transparency; JPEG has none. Add --format png.")
    if stored.deep and suffix not in (".png", *_TIFF_SUFFIXES):
        raise UserError(f"{path} must be a format with 16 bits; {suffix[1:]} has 8. Add --format png.")
    with whole_file(path) as beside:
        if suffix in _TIFF_SUFFIXES:
            beside.write_bytes(tiff_bytes(stored))
        elif stored.deep:
            beside.write_bytes(_deep_png(stored))
        else:
            _save(stored, path, beside)
        if suffix == ".png" and (chunks := _png_chunks(stored)):
            beside.write_bytes(png_chunks.with_chunks(beside.read_bytes(), chunks))
        elif suffix in JPEG_SUFFIXES and stored.jpeg:
            beside.write_bytes(jpeg_segments.with_segments(beside.read_bytes(), stored.jpeg))
        settle(beside)
    return "; ".join(filter(None, [stored.note, *_cannot_hold(stored, suffix)])) or None


def _save(stored: Stored, path: Path, beside: Path) -> None:
    """Write 8 bits with Pillow; the errors name the path that the file is going to have."""
    suffix = path.suffix.lower()
    channels = stored.pixels if stored.alpha is None else np.dstack([stored.pixels, stored.alpha])
    image = Image.fromarray(channels[..., 0] if channels.shape[-1] == 1 else channels)
    if suffix == ".bmp":
        # It holds no orientation: the picture is turned by it instead.
        image.getexif()[ORIENTATION] = stored.exif.get(ORIENTATION, 1)
        image = ImageOps.exif_transpose(image)
    try:
        image.save(beside, **_options(stored, suffix))
    except _RAISED as error:
        raise UserError(f"{path} must be written as {suffix[1:]}; {error}. Add --format png, or tif.") from None


def _cannot_hold(stored: Stored, suffix: str) -> list[str]:
    """What the picture has and the format has no place for."""
    lost: list[str] = []
    if suffix == ".bmp":
        held = {"EXIF": len(stored.exif), "colour profile": stored.icc, "XMP": stored.xmp}
        lost = [name for name, there in held.items() if there]
    if suffix == ".webp" and _is_grey_profile(stored):
        lost.append("grey colour profile")
    if suffix != ".png":
        lost += [f"{kind} of a PNG" for kind in png_chunks.lost_elsewhere(stored.png)]
    if suffix not in JPEG_SUFFIXES:
        lost += [f"{kind} of a JPEG" for kind in dict.fromkeys(kind for kind, _ in stored.jpeg)]
    return [f"{_NAMES.get(suffix, 'PNG')} holds no {name}" for name in lost]


def _options(stored: Stored, suffix: str) -> dict[str, Any]:
    """What Pillow is told for a format; what PNG says beside EXIF, profile and XMP is added later, as chunks."""
    if suffix == ".bmp":
        return {"dpi": stored.dpi} if stored.dpi else {}
    icc = None if suffix == ".webp" and _is_grey_profile(stored) else stored.icc
    kept: dict[str, Any] = {"exif": stored.exif, "icc_profile": icc}
    if stored.dpi and suffix != ".png":
        kept["dpi"] = stored.dpi
    if suffix in JPEG_SUFFIXES:
        kept |= {"quality": 95, "subsampling": "4:4:4"}
    elif suffix == ".webp":
        kept |= {"lossless": stored.lossless, "quality": 95, "exact": True}
    if stored.xmp and suffix in (*JPEG_SUFFIXES, ".webp"):
        kept["xmp"] = stored.xmp
    elif stored.xmp and suffix == ".png":
        kept["pnginfo"] = PngImagePlugin.PngInfo()
        kept["pnginfo"].add_itxt("XML:com.adobe.xmp", stored.xmp.decode(errors="replace"))
    return kept


def _png_chunks(stored: Stored) -> tuple[Chunk, ...]:
    """Those of the source, and its pixels an inch if it was no PNG."""
    said = any(kind == "pHYs" for kind, _ in stored.png)
    return stored.png if said or not stored.dpi else (*stored.png, png_chunks.size_chunk(stored.dpi))


def _is_grey_profile(stored: Stored) -> bool:
    return stored.icc is not None and stored.icc[16:20] == b"GRAY"


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image | Tiff]:
    """The file, checked from its head; a TIFF as we read it if we do, all else as Pillow sees it.

    What is raised on it, then or later, becomes a UserError.
    """
    try:
        # By a path, Pillow maps some files into memory, and gives a TIFF on its side as noise.
        with path.open("rb") as file:
            tiff = Tiff(file, path) if is_tiff(path) else None
            if tiff is not None and tiff.layout is not None:
                _check_size(tiff.head.size[::-1], path)
                yield tiff
                return
            file.seek(0)
            with Image.open(file) as image:
                _check_size(image.size, path)
                _check_kind(image, path)
                yield image
    except FileNotFoundError:
        raise UserError(f"{path} must be a picture; there is no such file.") from None
    except (*_RAISED, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} must be a readable picture; {error}. Remove or replace the file.") from None


def _check_size(size: tuple[int, int], path: Path) -> None:
    pixels, held = size[0] * size[1], path.stat().st_size
    if pixels > _BOMB_PIXELS and pixels > _PIXELS_A_BYTE * held:
        raise UserError(
            f"{path} must be a picture; its head says {size[0]}x{size[1]}, too many pixels for a file of {held} bytes. "
            "Remove it."
        )


def _check_kind(image: Image.Image, path: Path) -> None:
    """A UserError for kinds of pictures that cannot be given back as they came."""
    frames = getattr(image, "n_frames", 1)
    # Telephones keep a small second picture in an MPO file: the first is the photograph.
    if frames > 1 and image.format != "MPO":
        raise several(path, frames)
    if image.mode not in _MODES:
        raise other_kind(path, _KINDS.get(image.mode, f"of another kind ({image.mode})"))


def _is_deep_png(image: Image.Image, path: Path) -> bool:
    """Whether a channel has 16 bits, which Pillow cuts to 8 where there is colour."""
    if image.format != "PNG":
        return False
    with path.open("rb") as file:
        return file.read(25)[24] == 16


def _is_lossy_webp(image: Image.Image, path: Path) -> bool:
    if image.format != "WEBP":
        return False
    with path.open("rb") as file:
        file.seek(_RIFF_HEAD)
        while len(chunk := file.read(8)) == 8:
            if chunk[:4] in (b"VP8 ", b"VP8L"):
                return chunk[:4] == b"VP8 "
            length = int.from_bytes(chunk[4:], "little")
            file.seek(length + length % 2, 1)
    return True


def _pixels(image: Image.Image) -> tuple[Pixels, Pixels | None]:
    """Pixels and alpha of an 8-bit picture; palettes and colours that stand for transparency are resolved."""
    grey = image.mode in _GREY
    if image.has_transparency_data:
        channels = _array(image, "LA" if grey else "RGBA")
        return channels[..., :-1], channels[..., -1]
    channels = _array(image, "L" if grey else "RGB")
    return (channels[..., None] if grey else channels), None


def _array(image: Image.Image, mode: str) -> Pixels:
    """Converted only if need be: each copy of a large picture takes what restoring could use."""
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _deep_pixels(path: Path) -> tuple[Pixels, Pixels | None]:
    """Pixels and alpha of a PNG of 16 bits."""
    read = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None or read.dtype != np.uint16:
        raise UserError(f"{path} must be a readable picture; OpenCV cannot read its 16 bits. Convert it first.")
    channels = read[..., None] if read.ndim == 2 else read
    alpha = np.ascontiguousarray(channels[..., 3]) if channels.shape[-1] == 4 else None
    pixels = np.ascontiguousarray(channels[..., :1] if png_chunks.is_grey(path) else channels[..., 2::-1])
    if alpha is None and (key := png_chunks.key_of(path)) is not None:
        alpha = np.where((pixels == np.array(key, np.uint16)).all(axis=-1), 0, 65535).astype(np.uint16)
    return pixels, alpha


def _deep_png(stored: Stored) -> bytes:
    exif = stored.exif.tobytes().removeprefix(b"Exif\0\0") if len(stored.exif) else None
    if stored.alpha is not None and stored.pixels.shape[2] == 1:
        return png_chunks.grey_alpha_png(stored.pixels, stored.alpha, exif, stored.icc, stored.xmp)
    kinds: list[int] = []
    data: list[NDArray[np.uint8]] = []
    for kind, held in (
        (cv2.IMAGE_METADATA_EXIF, exif),
        (cv2.IMAGE_METADATA_ICCP, stored.icc),
        (cv2.IMAGE_METADATA_XMP, stored.xmp),
    ):
        if held:
            kinds.append(kind)
            data.append(np.frombuffer(held, np.uint8))
    channels = stored.pixels[..., ::-1] if stored.alpha is None else np.dstack([stored.pixels[..., ::-1], stored.alpha])
    return bytes(cv2.imencodeWithMetadata(".png", np.ascontiguousarray(channels), kinds, data)[1])
