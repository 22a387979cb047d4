"""Pictures as a run leaves them, for tests of the page: grey, with patches."""

from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Patch = tuple[int, int, int, int]  # x, y, size, grey


def drawn(shade: int, *patches: Patch, size: tuple[int, int] = (256, 192)) -> NDArray[np.uint8]:
    """A grey picture of that width and height, with square patches."""
    pixels = np.full((size[1], size[0], 3), shade, np.uint8)
    for x, y, length, grey in patches:
        pixels[y : y + length, x : x + length] = grey
    return pixels


def write_picture(folder: Path, name: str, column: str, pixels: NDArray[np.uint8] | None = None) -> Path:
    """Write `folder/NAME/COLUMN.webp` without loss; by default a shade that depends on the column's name."""
    path = folder / name / f"{column}.webp"
    path.parent.mkdir(parents=True, exist_ok=True)
    shade = crc32(column.encode()) % 256
    Image.fromarray(drawn(shade) if pixels is None else pixels).save(path, lossless=True)
    return path
