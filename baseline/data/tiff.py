"""Reading TIFF files of 8 and 16 bits, grey or RGB, as their tags say: OpenCV and Pillow pass over some of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from baseline.data.exif import read_exif
from baseline.data.stored import Head, Pixels, Stored, other_kind, several
from baseline.data.tiff_samples import DEFLATES, PLAIN, UNPACKED_BY_LIBTIFF, Layout, read_samples

ORIENTATION = 0x0112
LAYOUT = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325),
    *(330, 338, 339, 340, 341, 347, 529, 530, 531, 532, 700, 34675),
}
"""Tags of TIFF's baseline and its extensions for pixels, and those of what is kept apart (XMP, the colour profile)."""
_PHOTOSHOP_LAYERS = 37724

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_LEFT_TO_PILLOW = {3: "a palette", 5: "CMYK", 6: "YCbCr", 8: "CIE Lab"}
_OTHER_COLOURS = {4: "a mask", 9: "ICC Lab", 10: "ITU Lab", 32803: "raw sensor data", 34892: "raw sensor data"}
_NUMBERS = {2: "of signed numbers", 3: "float", 5: "of complex numbers", 6: "of complex numbers"}
_MOST = 65535
_SEPARATE, _DIFFERENCES = 2, 2
_ICC, _XMP = 34675, 700
_CENTIMETRES = 3
_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
    8: lambda p: np.rot90(p),
}


class _Kept(TypedDict):
    icc: bytes | None
    xmp: bytes | None
    dpi: tuple[float, float] | None


class Tiff:
    """An open TIFF: its directory, and its `layout` if its samples are of a kind that is read here.

    Without a layout it is left to Pillow. A UserError names kinds that nothing here reads, and files of several images.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        head = file.read(8)
        self._big = head[2:4] in (b"+\0", b"\0+")
        if self._big and head[:2] == b"MM":
            raise other_kind(path, "a big-endian BigTIFF, which Pillow does not read")
        self._order = "<" if head[:2] == b"II" else ">"
        directory = ImageFileDirectory_v2(head + file.read(8) if self._big else head)
        self._begin = directory.next
        self._tags, pages = self._directories(directory)
        if pages > 1:
            raise several(path, pages)
        self.layout = self._layout()

    @property
    def head(self) -> Head:
        """What the head says of the samples that are read here."""
        return self._known().head

    def _known(self) -> Layout:
        if self.layout is None:
            raise TypeError("a TIFF of this kind is left to Pillow")
        return self.layout

    def stored(self) -> Stored:
        """The image upright, its colours straight and black at zero; whatever error there is if it is damaged."""
        layout = self._known()
        turn = _TURNS.get(self._one(ORIENTATION, 1), _as_it_is)
        samples = np.ascontiguousarray(turn(read_samples(self._file, layout)))
        pixels, alpha = samples[..., : layout.colours], None
        if self._one(262, -1) == _WHITE_IS_ZERO:
            pixels = 2**layout.bits - 1 - pixels
        if layout.alpha is not None:
            alpha = np.ascontiguousarray(samples[..., layout.alpha])
        if alpha is not None and layout.premultiplied:
            pixels, alpha = _straight(pixels, alpha)
        exif, damaged = read_exif(self._read_exif)
        notes = [*_notes(layout), *([damaged] if damaged else [])]
        for tag in {*LAYOUT, ORIENTATION}.intersection(exif):
            del exif[tag]
        if _PHOTOSHOP_LAYERS in exif:
            del exif[_PHOTOSHOP_LAYERS]
            notes.append("its Photoshop layers, which are not restored, were left out")
        return Stored(np.ascontiguousarray(pixels), alpha, exif=exif, note="; ".join(notes) or None, **self._kept())

    def _directories(self, first: ImageFileDirectory_v2) -> tuple[ImageFileDirectory_v2, int]:
        """The first directory, and how many there are."""
        self._file.seek(first.next)
        first.load(self._file)
        following, seen = first.next, {self._begin}
        other = ImageFileDirectory_v2(
            b"II+\0" + bytes(12)
            if self._big
            else first.prefix + (b"*\0" if first.prefix == b"II" else b"\0*") + bytes(4)
        )
        while following and following not in seen:
            seen.add(following)
            self._file.seek(following)
            other.load(self._file)
            following = other.next
        return first, len(seen)

    def _layout(self) -> Layout | None:
        self._refuse_unreadable()
        bits, colour = set(self._all(258, (1,))), self._one(262, -1)
        compression, samples, separate = self._one(259, PLAIN), self._one(277, 1), self._one(284, 1) == _SEPARATE
        ours = colour in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and bits in ({8}, {16})
        known = compression in (PLAIN, *DEFLATES, *UNPACKED_BY_LIBTIFF) and self._one(266, 1) == 1
        if not ours or not known:
            if max(bits) > 8 or (samples > 1 and separate):
                raise other_kind(self._path, f"of {max(bits)} bits, packed in a way that is not read here")
            return None
        colours, predictor = 3 if colour == _RGB else 1, self._one(317, 1)
        if samples < colours or predictor not in (1, _DIFFERENCES):
            raise other_kind(self._path, f"of {samples} channels, packed with predictor {predictor}")
        size, tiled = (self._one(257, 0), self._one(256, 0)), 322 in self._tags
        strip = (min(self._one(278, size[0]), size[0]), size[1])
        return Layout(
            size=size,
            bits=bits.pop(),
            samples=samples,
            colours=colours,
            extras=self._all(338, ()),
            order=self._order,
            separate=separate,
            compression=compression,
            differences=predictor == _DIFFERENCES,
            segment=(self._one(323, 0), self._one(322, 0)) if tiled else strip,
            tiled=tiled,
            offsets=self._all(324 if tiled else 273, ()),
            lengths=self._all(325 if tiled else 279, ()),
        )

    def _refuse_unreadable(self) -> None:
        """A UserError for kinds of samples that neither Pillow nor what is here gives rightly."""
        bits, colour = max(self._all(258, (1,))), self._one(262, -1)
        planes = self._one(284, 1) == _SEPARATE and self._one(277, 1) > 1
        kinds = [_NUMBERS[kind] for kind in self._all(339, (1,)) if kind in _NUMBERS]
        if colour in _OTHER_COLOURS:
            kinds.append(_OTHER_COLOURS[colour])
        elif colour in _LEFT_TO_PILLOW and (planes or bits > 8):
            kinds.append(f"{_LEFT_TO_PILLOW[colour]} of {bits} bits{' in planes' if planes else ''}")
        if kinds:
            raise other_kind(self._path, kinds[0])

    def _read_exif(self) -> Image.Exif:
        exif = Image.Exif()
        exif.bigtiff = self._big
        exif.endian = self._order
        exif.load_from_fp(self._file, self._begin)
        return exif

    def _kept(self) -> _Kept:
        unit = self._one(296, 2)
        across: Any = self._tags.get(282)
        down: Any = self._tags.get(283)
        inches = 2.54 if unit == _CENTIMETRES else 1.0
        known = unit in (2, _CENTIMETRES) and across is not None and down is not None
        dpi = (float(across) * inches, float(down) * inches) if known else None
        return {"icc": self._bytes(_ICC), "xmp": self._bytes(_XMP), "dpi": dpi}

    def _all(self, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
        value: Any = self._tags.get(tag, default)
        return tuple(value) if isinstance(value, tuple) else (value,)

    def _one(self, tag: int, default: int) -> int:
        return int((self._all(tag, ()) or (default,))[0])

    def _bytes(self, tag: int) -> bytes | None:
        value: Any = self._tags.get(tag)
        return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None


def is_tiff(path: Path) -> bool:
    """Whether a file says that it is a TIFF; False if there is none."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) in _HEADS


def _notes(layout: Layout) -> list[str]:
    others = layout.samples - layout.colours - (layout.alpha is not None)
    guessed = layout.alpha is not None and not layout.extras
    became_deep = layout.premultiplied and layout.bits == 8
    return [
        *([f"{others} more channels, of no stated meaning, were left out"] if others else []),
        *(["its premultiplied colours of 8 bits became straight ones of 16"] if became_deep else []),
        *(["its last channel, of no stated meaning, was taken for transparency"] if guessed else []),
    ]


def _straight(colours: Pixels, alpha: Pixels) -> tuple[Pixels, Pixels]:
    """Colours that were multiplied by the opacity as they were before, with 16 bits, and the opacity with as many."""
    most = np.iinfo(alpha.dtype).max
    straight = np.empty(colours.shape, np.uint16)
    for row, (given, opacity) in enumerate(zip(colours, alpha[..., None].astype(np.uint64), strict=True)):
        shared = np.maximum(opacity, 1)
        straight[row] = np.minimum((given * np.uint64(_MOST) + shared // 2) // shared, _MOST)
    return straight, alpha.astype(np.uint16) * np.uint16(_MOST // most)


def _as_it_is(pixels: Pixels) -> Pixels:
    return pixels
