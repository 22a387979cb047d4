"""The shape of a video's pixels, written into an MP4 that OpenCV made: it writes none."""

import struct
from collections.abc import Iterator
from pathlib import Path

_HEAD_BYTES = 8
_WAY = (b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_BEFORE_BOXES = {b"stsd": 8}
_SAMPLE_ENTRY = 78
"""Bytes of a video's sample entry before the boxes in it."""
_LARGE = 1


def set_pixel_shape(path: Path, shape: tuple[int, int]) -> bool:
    """Say that pixels of the first track are `shape` wide and high; False if the file is laid out in another way."""
    with path.open("r+b") as file:
        begin, size = 0, path.stat().st_size
        while begin + _HEAD_BYTES <= size:
            file.seek(begin)
            length, kind = struct.unpack(">L4s", file.read(_HEAD_BYTES))
            if length == _LARGE:
                length = int.from_bytes(file.read(8))
            if kind == b"moov" and begin + length == size:
                # At the end: nothing that an offset points to moves when it grows.
                file.seek(begin)
                changed = _with_shape(bytearray(file.read()), shape)
                file.seek(begin)
                file.write(changed or b"")
                return changed is not None
            begin += max(length, _HEAD_BYTES)
    return False


def _with_shape(moov: bytearray, shape: tuple[int, int]) -> bytes | None:
    chain, begin, end = [0], _HEAD_BYTES, len(moov)
    for name in _WAY:
        found = next(((at, length) for kind, at, length in _boxes(moov, begin, end) if kind == name), None)
        if found is None:
            return None
        chain.append(found[0])
        begin, end = found[0] + _HEAD_BYTES + _BEFORE_BOXES.get(name, 0), sum(found)
    _, entry, length = next(_boxes(moov, begin, end))
    for kind, at, _ in _boxes(moov, entry + _HEAD_BYTES + _SAMPLE_ENTRY, entry + length):
        if kind == b"pasp":
            moov[at + _HEAD_BYTES : at + 2 * _HEAD_BYTES] = struct.pack(">LL", *shape)
            return bytes(moov)
    box = struct.pack(">L4sLL", 2 * _HEAD_BYTES, b"pasp", *shape)
    moov[entry + length : entry + length] = box
    for at in (*chain, entry):
        moov[at : at + 4] = (int.from_bytes(moov[at : at + 4]) + len(box)).to_bytes(4)
    return bytes(moov)


def _boxes(held: bytearray, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and length of the boxes that lie there."""
    while begin + _HEAD_BYTES <= end:
        length, kind = struct.unpack(">L4s", held[begin : begin + _HEAD_BYTES])
        yield kind, begin, length
        begin += max(length, _HEAD_BYTES)
