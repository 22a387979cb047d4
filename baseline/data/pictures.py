"""Reading and writing pictures as 8-bit RGB arrays."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from baseline.atomic import whole_file
from baseline.errors import UserError

Picture = NDArray[np.uint8]
"""H,W,3, RGB, 8 bits."""

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
SUFFIXES = (".png", *JPEG_SUFFIXES, ".webp", ".bmp", ".tif", ".tiff")
_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)


def read_picture(path: Path) -> Picture:
    """The picture upright, as 8-bit RGB, transparency dropped; a UserError names a file that is no whole 8-bit one."""
    with _opened(path) as image:
        image.load()
        return _upright_rgb(image)


def read_opaque(path: Path) -> Picture:
    """As `read_picture`, but a UserError if anything shows through: what colour is meant there, nobody knows."""
    with _opened(path) as image:
        image.load()
        if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
            raise UserError(f"{path} must be opaque to be one of a pair; it is partly transparent. Flatten it first.")
        return _upright_rgb(image)


def head_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright picture, from the file's head alone; a UserError as from `read_picture`."""
    with _opened(path) as image:
        # Asking a PNG for its EXIF decodes all of it; what stands in the head is in `info` already.
        on_its_side = "exif" in image.info and image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
        return image.size[::-1] if on_its_side else image.size


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file as Pillow sees it; what Pillow raises, here or while the caller decodes, becomes a UserError."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")) or _is_deep_png(path) or _is_deep_tiff(image):
                raise UserError(f"{path} must have 8 bits a channel; it has more. Convert it first.")
            yield image
    except FileNotFoundError:
        raise UserError(f"{path} must be a picture; there is no such file.") from None
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} must be a readable picture; {error}. Remove or replace the file.") from None


def _upright_rgb(image: Image.Image) -> Picture:
    return np.array(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.uint8)


def _is_deep_png(path: Path) -> bool:
    """Whether a PNG has 16 bits a channel, which Pillow cuts to 8 without a word where there is colour."""
    with path.open("rb") as file:
        head = file.read(25)
    return head.startswith(b"\x89PNG") and head[24] == 16


def _is_deep_tiff(image: Image.Image) -> bool:
    """Whether a TIFF has more than 8 bits a channel, which Pillow cuts as it does a PNG's."""
    return isinstance(image, TiffImageFile) and max(image.tag_v2.get(BITSPERSAMPLE, (1,))) > 8


def write_picture(picture: Picture, path: Path) -> None:
    """Write in the format that the name asks for; the file appears whole or not at all."""
    with whole_file(path) as beside:
        Image.fromarray(picture).save(beside, quality=95)


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their names; a UserError if it is missing."""
    if not folder.is_dir():
        raise UserError(f"{folder} must be a folder of pictures; there is no such folder.")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def left_out(folder: Path) -> list[Path]:
    """The files of a folder that `list_pictures` passes over, hidden ones aside."""
    found = (p for p in folder.iterdir() if p.suffix.lower() not in SUFFIXES and not p.name.startswith("."))
    return sorted(p for p in found if p.is_file())


def halve(picture: Picture) -> Picture:
    """Half the size, each pixel the mean of four."""
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA), dtype=np.uint8)
