"""What files say beside their pixels is carried over, or its loss is told."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from baseline.data.picture_files import read_stored, write_stored
from baseline.data.pictures import Picture

PQ = "its PQ levels were restored as they are stored; the network has learnt sRGB"
CHUNKS = {
    b"cICP": bytes([9, 16, 0, 1]),
    b"cLLI": struct.pack(">LL", 10_000_000, 4_000_000),
    b"mDCV": bytes(range(24)),
    b"gAMA": struct.pack(">L", 60_000),
    b"cHRM": struct.pack(">8L", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000),
    b"pHYs": struct.pack(">LLB", 4, 3, 0),
    b"tEXt": b"Author\0someone",
    b"zTXt": b"Comment\0\0" + zlib.compress(b"long ago"),
}


def with_chunks(path: Path, **others: bytes) -> None:
    """Chunks behind the head, as another program writes them."""
    whole = path.read_bytes()
    more = b""
    for kind, data in (CHUNKS | {name.encode(): data for name, data in others.items()}).items():
        more += struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))
    path.write_bytes(whole[:33] + more + whole[33:])


@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_keeps_its_light_colours_shape_and_text(tmp_path: Path, photo: Picture, bits: int) -> None:
    pixels = photo[:20, :30].astype(np.uint16) * 257 if bits == 16 else photo[:20, :30]
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    with_chunks(tmp_path / "a.png", bKGD=bytes(6))
    stored = read_stored(tmp_path / "a.png")
    assert np.array_equal(stored.pixels, pixels)
    assert write_stored(stored, tmp_path / "b.png") == f"its PNG chunks bKGD were left out; {PQ}"
    again = (tmp_path / "b.png").read_bytes()
    assert all(kind + data in again for kind, data in CHUNKS.items())
    assert again.count(b"pHYs") == 1
    assert np.array_equal(read_stored(tmp_path / "b.png").pixels, pixels)
    note = write_stored(stored, tmp_path / "b.tif")
    assert note is not None
    for kind in ("text", "cICP", "mDCV", "cLLI", "gAMA", "cHRM"):
        assert f"TIFF holds no {kind} of a PNG" in note


def test_the_usual_gamma_is_no_loss(tmp_path: Path, photo: Picture) -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", struct.pack(">L", 45455))
    info.add(b"sRGB", b"\0")
    Image.fromarray(photo[:9, :9]).save(tmp_path / "a.png", pnginfo=info)
    assert write_stored(read_stored(tmp_path / "a.png"), tmp_path / "b.jpg") is None


def test_sixteen_bits_of_a_png_keep_pixels_an_inch(tmp_path: Path, photo: Picture) -> None:
    Image.fromarray(photo[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.tif", dpi=(300, 300))
    assert write_stored(read_stored(tmp_path / "a.tif"), tmp_path / "b.png") is None
    with Image.open(tmp_path / "b.png") as image:
        assert tuple(map(round, image.info["dpi"])) == (300, 300)


@pytest.mark.parametrize(("colour", "key"), [(False, (7,)), (True, (0, 65535, 0))])
def test_one_colour_of_sixteen_bits_stands_for_transparency(
    tmp_path: Path, photo: Picture, colour: bool, key: tuple[int, ...]
) -> None:
    pixels = photo[:20, :30].astype(np.uint16) * 256 if colour else photo[:20, :30, :1].astype(np.uint16) * 256
    pixels[:5, :6] = key
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    whole, data = (tmp_path / "a.png").read_bytes(), b"tRNS" + struct.pack(f">{len(key)}H", *key)
    place = whole.index(b"IDAT") - 4
    chunk = struct.pack(">L", len(data) - 4) + data + struct.pack(">L", zlib.crc32(data))
    (tmp_path / "a.png").write_bytes(whole[:place] + chunk + whole[place:])
    stored = read_stored(tmp_path / "a.png")
    assert stored.alpha is not None
    assert np.array_equal(stored.alpha == 0, (pixels == key).all(axis=-1))
    write_stored(stored, tmp_path / "b.png")
    again = read_stored(tmp_path / "b.png")
    assert np.array_equal(again.pixels, pixels)
    assert np.array_equal(again.alpha, stored.alpha)
    with Image.open(tmp_path / "b.png") as image:
        assert image.has_transparency_data


def caption(words: bytes) -> bytes:
    """An IPTC segment as photo agencies write it."""
    record = b"\x1c\x02\x78" + struct.pack(">H", len(words)) + words
    held = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">L", len(record)) + record
    return b"\xff\xed" + struct.pack(">H", len(held) + 2) + held


def test_a_jpeg_keeps_comments_and_captions(tmp_path: Path, photo: Picture) -> None:
    Image.fromarray(photo[:20, :30]).save(tmp_path / "a.jpg", comment="kept since 1999", dpi=(300, 300))
    whole = (tmp_path / "a.jpg").read_bytes()
    credentials = b"\xff\xeb\0\x06JPcr"
    (tmp_path / "a.jpg").write_bytes(whole[:2] + caption(b"the harbour") + credentials + whole[2:])
    stored = read_stored(tmp_path / "a.jpg")
    assert write_stored(stored, tmp_path / "b.jpg") == "its JPEG segments APP11 were left out"
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["comment"] == b"kept since 1999"
        assert b"the harbour" in image.info["photoshop"][0x0404]
    note = str(write_stored(stored, tmp_path / "b.png"))
    assert "PNG holds no IPTC of a JPEG; PNG holds no comment of a JPEG" in note


def test_no_xmp_tells_of_a_gain_map_that_is_not_there(tmp_path: Path, photo: Picture) -> None:
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        b' xmlns:Container="http://ns.google.com/photos/1.0/container/" hdrgm:Version="1.0" dc:creator="someone">'
        b"<Container:Directory/></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    Image.fromarray(photo[:20, :30]).save(tmp_path / "a.jpg", xmp=xmp)
    note = write_stored(read_stored(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    assert note == "its gain map, or what else its XMP tells of beside the image, was left out"
    whole = (tmp_path / "b.jpg").read_bytes()
    assert b'dc:creator="someone"' in whole
    assert b"hdrgm" not in whole
    assert b"ontainer" not in whole
    Image.fromarray(photo[:20, :30]).save(tmp_path / "c.jpg", xmp=xmp[:-20])
    damaged = read_stored(tmp_path / "c.jpg")
    assert damaged.xmp is None
    assert damaged.note is not None
