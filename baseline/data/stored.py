"""An image as its file holds it, and what kinds cannot be given back."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baseline.errors import UserError

Pixels = NDArray[Any]
"""H,W,3 or, of a grey picture, H,W,1, of 8 or 16 bits (uint8, uint16)."""

Chunk = tuple[str, bytes]
"""Kind and content of a part of a file that is carried over as it is, such as a PNG chunk."""


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
    """A picture as its file holds it, not turned upright but for TIFF: `exif` says how to turn it.

    `png` and `jpeg` are the chunks and segments that a file of the same format gets again.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    lossless: bool = True
    exif: Image.Exif = field(default_factory=Image.Exif)
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    png: tuple[Chunk, ...] = ()
    jpeg: tuple[Chunk, ...] = ()
    note: str | None = None
    """What could not be kept."""

    @property
    def deep(self) -> bool:
        """Whether it has 16 bits."""
        return bool(self.pixels.dtype == np.uint16)


def other_kind(path: Path, kind: str) -> UserError:
    """The error for a kind of image that cannot be given back as it came."""
    return UserError(f"{path} must be grey or RGB, of 8 or 16 bits; it is {kind}. Convert it first, say to PNG.")


def several(path: Path, count: int) -> UserError:
    """The error for a file of several images."""
    return UserError(f"{path} must hold one picture; it holds {count}. Take it apart first.")
