"""Picture files as they are stored: 8 or 16 bits, grey or colour, with alpha and with what else the file says."""

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, PngImagePlugin
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    ICCPROFILE,
    RESOLUTION_UNIT,
    SAMPLEFORMAT,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    X_RESOLUTION,
    XMP,
    Y_RESOLUTION,
    ImageFileDirectory_v2,
    TiffImageFile,
)

from baseline.atomic import whole_file
from baseline.errors import UserError, unknown_name

Pixels = NDArray[Any]
"""H,W,3 or, of a grey picture, H,W,1, of 8 or 16 bits (uint8, uint16)."""

FORMATS = ("png", "jpg", "webp", "tif", "bmp")
"""What pictures can be written as, by the suffix that asks for it."""

_ORIENTATION = 0x0112
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr", "CMYK", "I;16", "I;16B", "I;16L")
_GREY = ("1", "L", "LA", "I;16", "I;16B", "I;16L")
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_TIFF_SUFFIXES = (".tif", ".tiff")
_TIFF_HEAD, _RIFF_HEAD = 8, 12
_INCHES = 2
_USUAL_GAMMA = 1 / 2.2
_PILLOW_RAISES = (ValueError, TypeError, struct.error)
"""On files that are damaged, and on what a format cannot hold."""
_BOMB_PIXELS = 25_000_000
_PIXELS_A_BYTE = 2000
"""A file says more pixels than that for each of its bytes: nothing worth restoring; PNG reaches 1,000 on one colour."""


@dataclass(frozen=True)
class Head:
    """What a file's head says: height and width as stored, and the bytes of a pixel of it."""

    size: tuple[int, int]
    depth: int

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.size[0] * self.size[1] / 1e6

    @property
    def bytes(self) -> int:
        """Of the pixels in memory."""
        return self.size[0] * self.size[1] * self.depth


@dataclass(frozen=True)
class Stored:
    """A picture as its file holds it, not turned upright but for TIFF: `exif` says how to turn it."""

    pixels: Pixels
    alpha: Pixels | None = None
    lossless: bool = True
    exif: Image.Exif = field(default_factory=Image.Exif)
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    note: str | None = None
    """What could not be kept."""


def check_format(name: str | None) -> None:
    """A UserError if pictures cannot be written as that; None keeps the format that they have."""
    if name is not None and name not in FORMATS:
        raise unknown_name("format", name, FORMATS)


def head_of(path: Path) -> Head:
    """What the head says, nothing decoded; a UserError for what is no picture, or one that cannot be restored."""
    with _opened(path) as image:
        channels = 1 if image.mode in _GREY else 3
        return Head(image.size[::-1], (channels + image.has_transparency_data) * (2 if _is_deep(image, path) else 1))


def read_stored(path: Path) -> Stored:
    """The picture with all that belongs to it; a UserError names a file that is not one whole picture."""
    with _opened(path) as image:
        deep = _is_deep(image, path)
        # A picture that is cut short fails here, also where OpenCV would read on without a word.
        image.load()
        pixels, alpha = _deep_pixels(path, image.mode) if deep else _pixels(image)
        xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
        exif, damaged = _about(image)
        count = getattr(image, "n_frames", 1)
        lost = [
            *(["CMYK became RGB, without its colour profile"] if image.mode == "CMYK" else []),
            *(["its EXIF is damaged and was left out"] if damaged else []),
            *([f"of {count} pictures, the first"] if count > 1 else []),
            *(["its gamma was left out"] if abs(image.info.get("gamma", _USUAL_GAMMA) - _USUAL_GAMMA) > 0.01 else []),
        ]
        return Stored(
            pixels,
            alpha,
            lossless=image.format != "JPEG" and image.format != "MPO" and not _is_lossy_webp(image, path),
            exif=exif,
            icc=None if image.mode == "CMYK" else image.info.get("icc_profile"),
            xmp=xmp.encode() if isinstance(xmp, str) else xmp,
            dpi=image.info.get("dpi"),
            note="; ".join(lost) or None,
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
    if stored.alpha is not None and suffix in (".jpg", ".jpeg"):
        raise UserError(f"{path} must be a format with transparency; JPEG has none. Add --format png.")
    deep = stored.pixels.dtype == np.uint16
    if deep and suffix not in (".png", *_TIFF_SUFFIXES):
        raise UserError(f"{path} must be a format with 16 bits; {suffix[1:]} has 8. Add --format png.")
    with whole_file(path) as beside:
        if suffix in _TIFF_SUFFIXES:
            beside.write_bytes(_tiff(stored))
        elif deep:
            beside.write_bytes(_deep_png(stored))
        else:
            _save(stored, path, beside)
        settle(beside)
    lost = [stored.note, *_cannot_hold(stored, suffix, deep)]
    return "; ".join(filter(None, lost)) or None


def _save(stored: Stored, path: Path, beside: Path) -> None:
    """Write 8 bits with Pillow; the errors name the path that the file is going to have."""
    suffix = path.suffix.lower()
    channels = stored.pixels if stored.alpha is None else np.dstack([stored.pixels, stored.alpha])
    image = Image.fromarray(channels[..., 0] if channels.shape[-1] == 1 else channels)
    if suffix == ".bmp":
        # It holds no orientation: the picture is turned by it instead.
        image.getexif()[_ORIENTATION] = stored.exif.get(_ORIENTATION, 1)
        image = ImageOps.exif_transpose(image)
    try:
        image.save(beside, **_options(stored, suffix))
    except _PILLOW_RAISES as error:
        raise UserError(f"{path} must be written as {suffix[1:]}; {error}. Add --format png, or tif.") from None


def _cannot_hold(stored: Stored, suffix: str, deep: bool) -> list[str]:
    """What the picture has and the format has no place for."""
    if suffix == ".bmp":
        held = {"EXIF": len(stored.exif), "colour profile": stored.icc, "XMP": stored.xmp}
        return [f"BMP holds no {name}" for name, there in held.items() if there]
    return ["its dpi was left out"] if deep and suffix == ".png" and stored.dpi else []


def _options(stored: Stored, suffix: str) -> dict[str, Any]:
    """What Pillow is told for a format."""
    if suffix == ".bmp":
        return {"dpi": stored.dpi} if stored.dpi else {}
    kept: dict[str, Any] = {"exif": stored.exif, "icc_profile": stored.icc}
    if stored.dpi:
        kept["dpi"] = stored.dpi
    if suffix in (".jpg", ".jpeg"):
        kept |= {"quality": 95, "subsampling": "4:4:4"}
    elif suffix == ".webp":
        kept |= {"lossless": stored.lossless, "quality": 95, "exact": True}
    if stored.xmp and suffix in (".jpg", ".jpeg", ".webp"):
        kept["xmp"] = stored.xmp
    elif stored.xmp and suffix == ".png":
        kept["pnginfo"] = PngImagePlugin.PngInfo()
        kept["pnginfo"].add_itxt("XML:com.adobe.xmp", stored.xmp.decode(errors="replace"))
    return kept


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file as Pillow sees it, checked from its head; what Pillow raises, then or later, becomes a UserError."""
    try:
        # By a path, Pillow maps some files into memory, and gives a TIFF on its side as noise.
        with path.open("rb") as file, Image.open(file) as image:
            pixels = image.width * image.height
            if pixels > _BOMB_PIXELS and pixels > _PIXELS_A_BYTE * path.stat().st_size:
                raise UserError(
                    f"{path} must be a picture; its head says {image.width}x{image.height}, too many pixels for a file "
                    f"of {path.stat().st_size} bytes. Remove it."
                )
            _check_kind(image, path)
            yield image
    except FileNotFoundError:
        raise UserError(f"{path} must be a picture; there is no such file.") from None
    except (*_PILLOW_RAISES, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} must be a readable picture; {error}. Remove or replace the file.") from None


def _check_kind(image: Image.Image, path: Path) -> None:
    """A UserError for kinds of pictures that cannot be given back as they came."""
    frames = getattr(image, "n_frames", 1)
    # Telephones keep a small second picture in an MPO file: the first is the photograph.
    if frames > 1 and image.format != "MPO":
        raise UserError(f"{path} must hold one picture; it holds {frames}. Take it apart first.")
    if image.mode not in _MODES or (isinstance(image, TiffImageFile) and _tiff_is_odd(image)):
        raise UserError(
            f"{path} must be grey or RGB, of 8 or 16 bits; it is {_kind(image)}. Convert it first, say to PNG."
        )


def _about(image: Image.Image) -> tuple[Image.Exif, bool]:
    """The EXIF, and whether it is damaged: then there is none of it.

    Of a TIFF, without what says how it lays out its pixels, which Pillow and OpenCV give upright.
    """
    try:
        exif = image.getexif()
        for directory in _DIRECTORIES:
            exif.get_ifd(directory)  # read while the file is open
        exif.tobytes()
    except (*_PILLOW_RAISES, AttributeError, SyntaxError):
        return Image.Exif(), True
    if isinstance(image, TiffImageFile):
        for tag in {*_LAYOUT, _ORIENTATION}.intersection(exif):
            del exif[tag]
    return exif, False


_LAYOUT = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325),
    *(330, 338, 339, 340, 341, 347, 529, 530, 531, 532, 700, ICCPROFILE),
}
"""Tags of TIFF's baseline and its extensions for pixels, and those of what is kept apart (XMP, the colour profile)."""


def _tiff_is_odd(image: TiffImageFile) -> bool:
    depth, is_float = max(image.tag_v2.get(BITSPERSAMPLE, (1,))), 3 in image.tag_v2.get(SAMPLEFORMAT, (1,))
    return is_float or depth not in (1, 2, 4, 8, 16)


def _kind(image: Image.Image) -> str:
    names = {"LAB": "CIE Lab", "HSV": "HSV", "F": "float", "I": "of 32 bits"}
    return names.get(image.mode, f"of another kind ({image.mode})")


def _is_deep(image: Image.Image, path: Path) -> bool:
    """Whether a channel has 16 bits, which Pillow cuts to 8 where there is colour."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24] == 16
    return isinstance(image, TiffImageFile) and max(image.tag_v2.get(BITSPERSAMPLE, (1,))) == 16


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


def _deep_pixels(path: Path, mode: str) -> tuple[Pixels, Pixels | None]:
    """Pixels and alpha of a 16-bit picture."""
    read = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None or read.dtype != np.uint16:
        raise UserError(f"{path} must be a readable picture; OpenCV cannot read its 16 bits. Convert it first.")
    channels = read[..., None] if read.ndim == 2 else read
    alpha = channels[..., 3] if channels.shape[-1] == 4 else None
    if mode in _GREY:
        return channels[..., :1], alpha
    return np.ascontiguousarray(channels[..., 2::-1]), alpha


def _channels(stored: Stored) -> Pixels:
    """H,W,C as OpenCV orders them; it has no grey with alpha."""
    pixels = stored.pixels[..., ::-1]
    if stored.alpha is None:
        return np.ascontiguousarray(pixels)
    return np.dstack(
        [np.repeat(pixels, 4 - pixels.shape[-1], axis=-1) if pixels.shape[-1] == 1 else pixels, stored.alpha]
    )


def _deep_png(stored: Stored) -> bytes:
    kinds: list[int] = []
    data: list[NDArray[np.uint8]] = []
    exif = stored.exif.tobytes().removeprefix(b"Exif\0\0") if len(stored.exif) else None
    for kind, held in (
        (cv2.IMAGE_METADATA_EXIF, exif),
        (cv2.IMAGE_METADATA_ICCP, stored.icc),
        (cv2.IMAGE_METADATA_XMP, stored.xmp),
    ):
        if held:
            kinds.append(kind)
            data.append(np.frombuffer(held, np.uint8))
    return bytes(cv2.imencodeWithMetadata(".png", _channels(stored), kinds, data)[1])


def _tiff(stored: Stored) -> bytes:
    """The strip of pixels that OpenCV packs, behind a directory of its entries and ours."""
    height = stored.pixels.shape[0]
    file = bytes(cv2.imencode(".tiff", _channels(stored), [cv2.IMWRITE_TIFF_ROWSPERSTRIP, height])[1])
    with Image.open(io.BytesIO(file)) as image:
        if not isinstance(image, TiffImageFile):
            raise TypeError("OpenCV wrote no TIFF")
        about_pixels = dict(image.tag_v2)
    entries = ImageFileDirectory_v2(prefix=file[:2])
    for tag, value in {**stored.exif, **about_pixels}.items():
        entries[tag] = value
    for directory in _DIRECTORIES:
        if found := stored.exif.get_ifd(directory):
            entries[directory] = dict(found)
    if stored.dpi:
        entries[X_RESOLUTION], entries[Y_RESOLUTION], entries[RESOLUTION_UNIT] = *stored.dpi, _INCHES
    for tag, held in ((ICCPROFILE, stored.icc), (XMP, stored.xmp)):
        if held:
            entries[tag] = held
    (begin,), (length,) = about_pixels[STRIPOFFSETS], about_pixels[STRIPBYTECOUNTS]
    # Pillow takes it from the end of the directory.
    entries[STRIPOFFSETS] = 0
    where = struct.pack("<L" if file.startswith(b"II") else ">L", _TIFF_HEAD)
    return file[:4] + where + entries.tobytes(_TIFF_HEAD) + file[begin : begin + length]
