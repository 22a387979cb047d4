"""Chunks of PNG files that are carried over as they are: text, and what colours, light and sizes mean."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from baseline.data.stored import Chunk, Pixels

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = ("cICP", "mDCV", "mDCv", "cLLI", "cLLi", "gAMA", "cHRM", "sRGB")
_TEXT = ("tEXt", "zTXt", "iTXt")
_SIZES = ("pHYs", "oFFs", "pCAL", "sCAL", "sTER")
_OF_THE_PIXELS = ("IHDR", "PLTE", "IDAT", "IEND", "tRNS", "sBIT", "hIST", "tIME")
"""What the encoder writes anew, and what is said of the pixels as they were."""
_KEPT_APART = ("iCCP", "eXIf")
_XMP = b"XML:com.adobe.xmp\0"
_HDR = {16: "PQ", 18: "HLG"}
_USUAL_GAMMA = (45454, 45455, 45456)
_SRGB = struct.pack(">8L", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_METRES = 39.3701
_HEAD_BYTES = 33


def read_chunks(path: Path) -> tuple[tuple[Chunk, ...], list[str]]:
    """The chunks of a PNG that are carried over, and notes on the others."""
    kept: list[Chunk] = []
    others: list[str] = []
    for kind, data in _chunks(path):
        if kind in (*_COLOURS, *_TEXT, *_SIZES):
            if not (kind == "iTXt" and data.startswith(_XMP)):
                kept.append((kind, data))
        elif kind not in (*_OF_THE_PIXELS, *_KEPT_APART, *others):
            others.append(kind)
    notes = [f"its PNG chunks {', '.join(others)} were left out"] if others else []
    for kind, data in kept:
        if kind == "cICP" and len(data) == 4 and data[1] in _HDR:
            notes.append(f"its {_HDR[data[1]]} levels were restored as they are stored; the network has learnt sRGB")
    return tuple(kept), notes


def key_of(path: Path) -> tuple[int, ...] | None:
    """The levels of the one colour that stands for transparency in a grey or RGB file; None without one."""
    data = next((data for kind, data in _chunks(path) if kind == "tRNS"), None)
    return None if data is None else struct.unpack(f">{len(data) // 2}H", data[: len(data) // 2 * 2])


def is_grey(path: Path) -> bool:
    """Whether a PNG is grey, with transparency or without."""
    with path.open("rb") as file:
        return file.read(26)[25] in (0, 4)


def with_chunks(file: bytes, chunks: Iterable[Chunk]) -> bytes:
    """The PNG with more chunks, behind its head."""
    more = b"".join(_packed(kind, data) for kind, data in chunks)
    return file[:_HEAD_BYTES] + more + file[_HEAD_BYTES:]


def size_chunk(dpi: tuple[float, float]) -> Chunk:
    """The chunk that gives pixels an inch."""
    return "pHYs", struct.pack(">LLB", *(round(side * _METRES) for side in dpi), 1)


def lost_elsewhere(chunks: Iterable[Chunk]) -> list[str]:
    """What of them means something that no other format takes from a PNG."""
    found = list(chunks)
    lost = ["text"] if any(kind in _TEXT for kind, _ in found) else []
    for kind, data in found:
        usual = (kind == "gAMA" and int.from_bytes(data) in _USUAL_GAMMA) or (kind == "cHRM" and data == _SRGB)
        if kind in _COLOURS and kind != "sRGB" and not usual:
            lost.append(kind)
    return lost


def grey_alpha_png(grey: Pixels, alpha: Pixels, exif: bytes | None, icc: bytes | None, xmp: bytes | None) -> bytes:
    """A PNG of 16 bits with grey, H,W,1, and transparency, H,W: OpenCV writes none; each row less the one above."""
    samples = np.concatenate([grey, alpha[..., None]], axis=-1).astype(">u2")
    rows = samples.view(np.uint8).reshape(samples.shape[0], -1)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((len(rows), 1), 2, np.uint8), rows - above])
    head = struct.pack(">LLBBBBB", grey.shape[1], grey.shape[0], 16, 4, 0, 0, 0)
    parts = [("IHDR", head)]
    if icc:
        parts.append(("iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if exif:
        parts.append(("eXIf", exif))
    if xmp:
        parts.append(("iTXt", _XMP + bytes(4) + xmp))
    parts += [("IDAT", zlib.compress(filtered.tobytes())), ("IEND", b"")]
    return _SIGNATURE + b"".join(_packed(*part) for part in parts)


def _chunks(path: Path) -> Iterator[Chunk]:
    with path.open("rb") as file:
        file.seek(len(_SIGNATURE))
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4]), head[4:].decode("latin-1")
            if kind == "IDAT":
                file.seek(length + 4, 1)
                continue
            yield kind, file.read(length)
            file.seek(4, 1)


def _packed(kind: str, data: bytes) -> bytes:
    body = kind.encode("latin-1") + data
    return struct.pack(">L", len(data)) + body + struct.pack(">L", zlib.crc32(body))
