"""Reading and writing pictures as 8-bit RGB arrays."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from baseline.errors import UserError

Picture = NDArray[np.uint8]
"""H,W,3, RGB, 8 bits."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def read_picture(path: Path) -> Picture:
    """The picture upright, as 8-bit RGB; a UserError that names the file if it is not a whole 8-bit picture."""
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode.startswith(("I", "F")) or _is_deep_png(path):
                raise UserError(f"{path} must have 8 bits a channel; it has more. Convert it first.")
            upright = ImageOps.exif_transpose(image)
            return np.array(upright.convert("RGB"), dtype=np.uint8)
    except FileNotFoundError:
        raise UserError(f"{path} must be a picture; there is no such file.") from None
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} must be a readable picture; {error}. Remove or replace the file.") from None


def _is_deep_png(path: Path) -> bool:
    """Whether a PNG has 16 bits a channel, which Pillow cuts to 8 without a word where there is colour."""
    with path.open("rb") as file:
        head = file.read(25)
    return head.startswith(b"\x89PNG") and head[24] == 16


def write_picture(picture: Picture, path: Path) -> None:
    """Write in the format that the name asks for; the file appears whole or not at all."""
    beside = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        Image.fromarray(picture).save(beside, quality=95)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their names; a UserError if it is missing."""
    if not folder.is_dir():
        raise UserError(f"{folder} must be a folder of pictures; there is no such folder.")
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def halve(picture: Picture) -> Picture:
    """Half the size, each pixel the mean of four."""
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA), dtype=np.uint8)
