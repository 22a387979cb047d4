"""Pages of text rendered from a seed: columns, headings, lists, tables and rules on tinted, unevenly lit paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from baseline.data.pictures import Picture
from baseline.data.words import number, running_text

PAGE = (720, 544)
"""Height and width of every page."""

_SCALE = 2
"""Pages are set at twice their size and reduced, so that a stroke can be half a pixel bolder."""


@dataclass(frozen=True)
class Style:
    """How a page looks. Lengths are in pixels of the doubled page, colours in grey levels."""

    size: int
    leading: float
    bold: int
    slant: float
    stretch: float
    columns: int
    margin: int
    skew_deg: float
    paper: NDArray[np.float32]
    ink: NDArray[np.float32]


def render_page(seed: Sequence[int], held_out: bool) -> Picture:
    """The page of a seed; the words of held-out pages occur on no other page."""
    rng = np.random.default_rng(seed)
    style = draw_style(rng)
    sheet = np.zeros((PAGE[0] * _SCALE, PAGE[1] * _SCALE), np.uint8)
    width = (sheet.shape[1] - style.margin * (style.columns + 1)) // style.columns
    for column in range(style.columns):
        Column(sheet, style, rng, held_out, style.margin + column * (width + style.margin), width).fill()
    turn = cv2.getRotationMatrix2D((sheet.shape[1] / 2, sheet.shape[0] / 2), style.skew_deg, 1)
    turned = cv2.warpAffine(sheet, turn, sheet.shape[::-1])
    return _printed(cv2.resize(turned, PAGE[::-1], interpolation=cv2.INTER_AREA), style, rng)


def draw_style(rng: np.random.Generator) -> Style:
    """A style at random: mostly dark on light and upright, some pages light on dark, bold or slanted."""
    light = np.clip(rng.uniform(205, 255) + rng.normal(0, 6, 3), 0, 255)
    dark = rng.uniform(0, 60) + rng.uniform(0, 60, 3) * (rng.random() < 0.3)
    paper, ink = (dark, light) if rng.random() < 0.12 else (light, dark)
    size = int(rng.integers(9 * _SCALE, 24 * _SCALE))
    return Style(
        size=size,
        leading=rng.uniform(1.1, 1.6),
        bold=int(rng.random() < 0.25 and size > 12 * _SCALE),
        slant=0.2 if rng.random() < 0.2 else 0.0,
        stretch=rng.uniform(0.85, 1.15),
        columns=int(rng.integers(1, 4)) if size < 15 * _SCALE else 1,
        margin=int(rng.integers(14, 40)) * _SCALE,
        skew_deg=rng.normal(0, 0.7),
        paper=paper.astype(np.float32),
        ink=ink.astype(np.float32),
    )


class Column:
    """A column that is filled from top to bottom with one block after another."""

    def __init__(
        self, sheet: NDArray[np.uint8], style: Style, rng: np.random.Generator, held_out: bool, left: int, width: int
    ) -> None:
        self._sheet, self._style, self._rng, self._left, self._width = sheet, style, rng, left, width
        self._words = running_text(rng, held_out)
        self._top = style.margin
        self._bottom = sheet.shape[0] - style.margin

    def fill(self) -> None:
        """Set blocks until the column is full."""
        blocks = (self._paragraph, self._heading, self._list, self._table, self._rule)
        while self._top < self._bottom:
            blocks[int(self._rng.choice(len(blocks), p=[0.55, 0.15, 0.1, 0.12, 0.08]))]()
            self._top += int(self._style.size * self._rng.uniform(0.3, 1.1))

    def _paragraph(self) -> None:
        for _ in range(int(self._rng.integers(2, 9))):
            self._line(self._fitting(self._width))

    def _heading(self) -> None:
        size = int(self._style.size * self._rng.uniform(1.3, 2.2))
        self._line(self._fitting(self._width, size).rstrip(",;:"), size=size, bold=1)

    def _list(self) -> None:
        indent = 2 * self._style.size
        for item in range(int(self._rng.integers(2, 6))):
            self._write(f"{item + 1}.", self._left, self._style.size, self._style.bold)
            self._line(self._fitting(self._width - indent), indent)

    def _table(self) -> None:
        cell = max(7 * self._style.size, self._width // 5)
        for _ in range(int(self._rng.integers(3, 8))):
            for left in range(cell, self._width - cell + 1, cell):
                self._write(number(self._rng), self._left + left, self._style.size, self._style.bold)
            self._line(self._fitting(cell))
            self._rule(thickness=1)

    def _rule(self, thickness: int = 3) -> None:
        self._sheet[self._top : min(self._top + thickness, self._bottom), self._left : self._left + self._width] = 255
        self._top += thickness + self._style.size // 4

    def _fitting(self, width: int, size: int | None = None) -> str:
        """As many of the next words as fit into a line, at least one."""
        font = _font(size or self._style.size)
        line, left = "", (width - self._style.size // 2) / self._style.stretch
        while True:
            word = next(self._words)
            left -= font.getlength(f"{word} ")
            if line and left < 0:
                return line
            line = f"{line} {word}" if line else word

    def _line(self, text: str, indent: int = 0, size: int | None = None, bold: int | None = None) -> None:
        size = size or self._style.size
        self._write(text, self._left + indent, size, self._style.bold if bold is None else bold)
        self._top += int(size * self._style.leading)

    def _write(self, text: str, left: int, size: int, bold: int) -> None:
        """Ink a line of text onto the sheet, if there is room for it; what reaches beyond the column is cut off."""
        height = int(1.4 * size)
        width = min(self._left + self._width - left, int(1.5 * size * len(text)))
        if width <= 0 or height > self._bottom - self._top:
            return
        strip = Image.new("L", (width, height))
        ImageDraw.Draw(strip).text((2, 0), text, fill=255, font=_font(size), stroke_width=bold)
        shape = np.array([[self._style.stretch, -self._style.slant, self._style.slant * size], [0, 1, 0]])
        inked = cv2.warpAffine(np.asarray(strip), shape, strip.size)
        place = self._sheet[self._top : self._top + height, left : left + width]
        np.maximum(place, inked, out=place)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow without FreeType has no font of a given size")
    return font


def _printed(inked: NDArray[np.generic], style: Style, rng: np.random.Generator) -> Picture:
    """Ink on paper, H,W in 0..255 -> a picture: uneven light, grain, soft shadows."""
    cover = inked[..., None].astype(np.float32) / 255
    page = style.paper * (1 - cover) + style.ink * cover
    light = (1 + rng.uniform(0, 0.12) * rng.uniform(-1, 0.3, (4, 3))).astype(np.float32)
    page *= cv2.resize(light, inked.shape[::-1], interpolation=cv2.INTER_CUBIC)[..., None]
    page += rng.standard_normal((*inked.shape, 1), dtype=np.float32) * np.float32(rng.uniform(0.1, 2.0))
    return np.clip(np.rint(page), 0, 255).astype(np.uint8)
