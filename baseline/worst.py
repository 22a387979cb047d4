"""A sheet of the pictures that a network restores worst: blurred, restored and sharp side by side."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from baseline.data.loader import to_picture
from baseline.data.pairs import PairSet
from baseline.data.pictures import Picture
from baseline.evaluate import PictureScore, restored_picture
from baseline.restorer import Restorer

COUNT = 10

_SIDE, _GAP = 512, 16
_TITLE, _CAPTION = 20, 16
"""The sizes in pixels of a picture's longer side, of the space around it, and of both kinds of text."""

_BLACK, _GREY, _WHITE = (24, 24, 27), (92, 92, 99), (255, 255, 255)


def worst_sheet(
    restorer: Restorer, pairs: PairSet, scores: Sequence[PictureScore], blurred: Sequence[PictureScore]
) -> Picture:
    """The ten pictures with the lowest PSNR, a row each, the worst first; `blurred` are the scores of the input."""
    lowest = sorted(scores, key=lambda score: score.psnr_db)[:COUNT]
    before = {score.name: score.psnr_db for score in blurred}
    rows = []
    for place, score in enumerate(lowest, 1):
        pair = next(iter(pairs.only([score.name])))
        captions = (
            f"blurred, {before[score.name]:.2f} dB",
            f"restored, {score.psnr_db:.2f} dB ({score.psnr_db - before[score.name]:+.2f})",
            "sharp",
        )
        pictures = (pair.blurred, to_picture(restored_picture(restorer, pair)[0]), pair.sharp)
        rows.append(_row(f"{place}. {score.name}", captions, [Image.fromarray(picture) for picture in pictures]))
    return _stacked(rows)


def _row(title: str, captions: Sequence[str], pictures: Sequence[Image.Image]) -> Image.Image:
    """A line with the name, and under it the pictures, each below its caption."""
    for picture in pictures:
        picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    width, height = pictures[0].size
    top = 2 * _GAP + _TITLE + _CAPTION
    step = max(width, _SIDE) + _GAP
    row = Image.new("RGB", (_GAP + step * len(pictures), top + height + _GAP), _WHITE)
    draw = ImageDraw.Draw(row)
    draw.text((_GAP, _GAP // 2), _shortened(title, row.width - 2 * _GAP), _BLACK, ImageFont.load_default(_TITLE))
    for place, (caption, picture) in enumerate(zip(captions, pictures, strict=True)):
        left = _GAP + place * step
        draw.text((left, _GAP + _TITLE), caption, _GREY, ImageFont.load_default(_CAPTION))
        row.paste(picture, (left, top))
    return row


def _shortened(text: str, width: int) -> str:
    """The text, its middle left out as far as it is wider than so many pixels."""
    font, kept = ImageFont.load_default(_TITLE), text
    while font.getlength(kept) > width:
        half = (len(kept) - 2) // 2
        kept = f"{text[:half]}…{text[-half:]}"
    return kept


def _stacked(rows: Sequence[Image.Image]) -> Picture:
    """The rows, one below the other."""
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), _WHITE)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return np.asarray(sheet, dtype=np.uint8)
