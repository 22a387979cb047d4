"""Segments of JPEG files that are carried over as they are: comments, and captions after IPTC."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from baseline.data.stored import Chunk

_KEPT = {0xFE: "comment", 0xED: "IPTC"}
_CODING = (0xE0, 0xEE)
_WRITTEN_ANEW = (b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0", b"MPF\0", b"Ducky")
_GAIN_MAP = b"urn:iso:std:iso:ts:21496"
_APPLICATIONS, _SCAN = range(0xE0, 0xF0), 0xDA
_FILL = 0xFF


def read_segments(path: Path) -> tuple[tuple[Chunk, ...], list[str]]:
    """The segments of a JPEG that are carried over, and notes on the others."""
    kept: list[Chunk] = []
    others: list[str] = []
    for marker, data in _segments(path):
        if marker in _KEPT:
            kept.append((_KEPT[marker], data))
        elif marker in _APPLICATIONS and marker not in _CODING and not data.startswith((*_WRITTEN_ANEW, _GAIN_MAP)):
            name = f"APP{marker - _APPLICATIONS.start}"
            others.extend([] if name in others else [name])
    return tuple(kept), [f"its JPEG segments {', '.join(others)} were left out"] if others else []


def with_segments(file: bytes, segments: Iterable[Chunk]) -> bytes:
    """The JPEG with more segments, behind those that it begins with."""
    markers = {name: marker for marker, name in _KEPT.items()}
    more = b"".join(bytes([0xFF, markers[kind]]) + (len(data) + 2).to_bytes(2) + data for kind, data in segments)
    end = 2
    while file[end] == _FILL and file[end + 1] in _APPLICATIONS:
        end += 2 + int.from_bytes(file[end + 2 : end + 4])
    return file[:end] + more + file[end:]


def _segments(path: Path) -> Iterator[tuple[int, bytes]]:
    """Markers and contents of all before the first scan."""
    with path.open("rb") as file:
        file.seek(2)
        while len(head := file.read(2)) == 2 and head[0] == _FILL and head[1] != _SCAN:
            if head[1] == _FILL:
                file.seek(-1, 1)
                continue
            length = int.from_bytes(file.read(2))
            yield head[1], file.read(max(0, length - 2))
