"""Writing TIFF files: a strip of pixels behind a directory of their entries and all that belongs to the image."""

import struct
import zlib

import numpy as np
from PIL.TiffImagePlugin import (
    ICCPROFILE,
    RESOLUTION_UNIT,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    X_RESOLUTION,
    XMP,
    Y_RESOLUTION,
    ImageFileDirectory_v2,
)

from baseline.data.exif import DIRECTORIES
from baseline.data.stored import Pixels, Stored
from baseline.data.tiff import ORIENTATION

_HEAD_BYTES = 8
_DEFLATE, _BLACK_IS_ZERO, _RGB, _DIFFERENCES, _STRAIGHT, _INCHES = 8, 1, 2, 2, 2, 2


def tiff_bytes(stored: Stored) -> bytes:
    """The image as a little-endian TIFF, packed without loss, its transparency declared as straight."""
    samples = stored.pixels if stored.alpha is None else np.dstack([stored.pixels, stored.alpha])
    height, width, count = samples.shape
    strip = zlib.compress(_differences(samples).tobytes())
    entries = ImageFileDirectory_v2(prefix=b"II")
    for tag, value in stored.exif.items():
        entries[tag] = value
    for directory in DIRECTORIES:
        if found := stored.exif.get_ifd(directory):
            entries[directory] = dict(found)
    colours = _BLACK_IS_ZERO if stored.pixels.shape[2] == 1 else _RGB
    pixels = {256: width, 257: height, 258: (samples.dtype.itemsize * 8,) * count, 259: _DEFLATE, 262: colours}
    for tag, value in (pixels | {277: count, 278: height, 284: 1, 317: _DIFFERENCES}).items():
        entries[tag] = value
    if stored.alpha is not None:
        entries[338] = _STRAIGHT
    if stored.dpi:
        entries[X_RESOLUTION], entries[Y_RESOLUTION], entries[RESOLUTION_UNIT] = *stored.dpi, _INCHES
    for tag, held in ((ICCPROFILE, stored.icc), (XMP, stored.xmp)):
        if held:
            entries[tag] = held
    if stored.xmp and b"tiff:Orientation" in stored.xmp and ORIENTATION not in entries:
        entries[ORIENTATION] = 1  # readers would take it from the XMP
    # Pillow takes the offset from the end of the directory.
    entries[STRIPOFFSETS], entries[STRIPBYTECOUNTS] = 0, len(strip)
    return b"II*\0" + struct.pack("<L", _HEAD_BYTES) + entries.tobytes(_HEAD_BYTES) + strip


def _differences(samples: Pixels) -> Pixels:
    """Each sample less the one to its left, which packs better."""
    apart: Pixels = samples.astype(samples.dtype.newbyteorder("<"))
    apart[:, 1:] -= samples[:, :-1]
    return apart
