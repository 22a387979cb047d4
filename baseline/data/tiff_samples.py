"""The samples of a TIFF: strips or tiles, plain or packed, together or in planes, of either byte order."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from baseline.data.stored import Head, Pixels

PLAIN = 1
DEFLATES = (8, 32946)
UNPACKED_BY_LIBTIFF = (5, 32773, 34925, 50000)
"""LZW, PackBits, LZMA, Zstandard."""

_PREMULTIPLIED = 1
_TRANSPARENCIES = (_PREMULTIPLIED, 2)
_HEAD_BYTES = 8


@dataclass(frozen=True)
class Layout:
    """How samples lie in the file; `segment` is the height and width of a strip or tile.

    The first of the `samples` of a pixel are its `colours`, and `extras` says what the others are.
    """

    size: tuple[int, int]
    bits: int
    samples: int
    colours: int
    extras: tuple[int, ...]
    order: str
    separate: bool
    compression: int
    differences: bool
    segment: tuple[int, int]
    tiled: bool
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def alpha(self) -> int | None:
        """The sample that is the transparency: without a word on extra samples, a single one is taken for it."""
        if not self.extras and self.samples == self.colours + 1:
            return self.colours
        kinds = self.extras[: self.samples - self.colours]
        return next((self.colours + i for i, kind in enumerate(kinds) if kind in _TRANSPARENCIES), None)

    @property
    def head(self) -> Head:
        """What the image takes in memory: premultiplied colours become straight ones of 16 bits."""
        return Head(
            self.size, (self.colours + (self.alpha is not None)) * (2 if self.premultiplied else self.bits // 8)
        )

    @property
    def premultiplied(self) -> bool:
        """Whether the colours are stored multiplied by the opacity."""
        return self.alpha is not None and self.extras[self.alpha - self.colours :][:1] == (_PREMULTIPLIED,)

    @property
    def depth(self) -> int:
        """Samples that lie beside each other."""
        return 1 if self.separate else self.samples

    def places(self) -> Iterator[tuple[int, int, int]]:
        """Plane, top and left of every segment, in the file's order."""
        for plane in range(self.samples if self.separate else 1):
            for top in range(0, self.size[0], self.segment[0]):
                for left in range(0, self.size[1], self.segment[1]):
                    yield plane, top, left


def read_samples(file: BinaryIO, layout: Layout) -> Pixels:
    """H,W,samples as they are stored, unpacked; a ValueError if the file does not hold them all."""
    if 0 in (*layout.size, *layout.segment):
        raise ValueError("its head gives no size")
    samples = np.empty((*layout.size, layout.samples), f"u{layout.bits // 8}")
    for (plane, top, left), *where in zip(layout.places(), layout.offsets, layout.lengths, strict=True):
        high = layout.segment[0] if layout.tiled else min(layout.segment[0], layout.size[0] - top)
        part = _segment(file, layout, high, *where)
        into = samples[top : top + high, left : left + layout.segment[1], plane : plane + layout.depth]
        into[:] = part[: into.shape[0], : into.shape[1]]
    return samples


def _segment(file: BinaryIO, layout: Layout, high: int, begin: int, length: int) -> Pixels:
    """The strip or tile that begins there, `high` rows of it."""
    kind = np.dtype(f"u{layout.bits // 8}")
    file.seek(begin)
    packed = file.read(length)
    if len(packed) < length:
        raise ValueError("it is cut short")
    wide = layout.segment[1] * layout.depth
    data = _unpacked(packed, layout.compression, wide * kind.itemsize, high)
    part: Pixels = np.frombuffer(data, kind.newbyteorder("<" if layout.order == "<" else ">"), high * wide)
    part = part.reshape(high, layout.segment[1], layout.depth).astype(kind, copy=False)
    return np.cumsum(part, axis=1, dtype=kind) if layout.differences else part


def _unpacked(packed: bytes, compression: int, row_bytes: int, rows: int) -> bytes:
    if compression == PLAIN:
        return packed
    if compression in DEFLATES:
        return zlib.decompress(packed)
    # A grey TIFF of one strip: its pixels are the bytes.
    tags = ImageFileDirectory_v2(prefix=b"II")
    for tag, value in {256: row_bytes, 257: rows, 258: 8, 259: compression, 262: 1, 277: 1, 278: rows}.items():
        tags[tag] = value
    tags[273], tags[279] = 0, len(packed)  # Pillow takes the offset from the end of the directory
    head = b"II*\0" + struct.pack("<L", _HEAD_BYTES)
    with Image.open(io.BytesIO(head + tags.tobytes(_HEAD_BYTES) + packed)) as image:
        return image.tobytes()
