from dataclasses import replace

import numpy as np
import pytest

from baseline import worst
from baseline.data.pairs import Pair, PairSet
from baseline.data.pictures import Picture
from baseline.evaluate import PictureScore, Unchanged
from baseline.worst import worst_sheet


def plain(level: int, height: int = 48, width: int = 64) -> Picture:
    return np.full((height, width, 3), level, np.uint8)


def rows(*values: float) -> list[PictureScore]:
    return [PictureScore(f"p{i}", "g", value, 0, 0, 0) for i, value in enumerate(values)]


def pairs(count: int, height: int = 48, width: int = 64) -> PairSet:
    made = [Pair(f"p{i}", "g", plain(10 * i, height, width), plain(200, height, width)) for i in range(count)]
    return PairSet({pair.name: (lambda pair=pair: pair) for pair in made})


def levels(sheet: Picture, column: int) -> list[int]:
    """The grey levels of the pictures in a column, from the top: blurred ones are of 10 times their number."""
    line = sheet[:, 16 + column * (512 + 16) + 20].tolist()
    found = [value[0] for value in line if value[0] == value[1] == value[2] and value[0] != 255]
    return [level for level in dict.fromkeys(found) if found.count(level) >= 48]


def test_the_rows_are_the_lowest_scores_the_worst_first() -> None:
    scores = rows(*(30 - i for i in range(12)))
    sheet = worst_sheet(Unchanged(), pairs(12), scores, scores)
    assert levels(sheet, 0) == [10 * i for i in range(11, 1, -1)]
    assert levels(sheet, 1) == levels(sheet, 0)
    assert levels(sheet, 2) == [200]


def test_captions_say_each_score_and_what_was_gained(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    drawn = worst._row
    monkeypatch.setattr(
        worst, "_row", lambda title, captions, p: said.append((title, *captions)) or drawn(title, captions, p)
    )
    worst_sheet(Unchanged(), pairs(2), rows(25.5, 20.126), rows(23, 21))
    assert said == [
        ("1. p1", "blurred, 21.00 dB", "restored, 20.13 dB (-0.87)", "sharp"),
        ("2. p0", "blurred, 23.00 dB", "restored, 25.50 dB (+2.50)", "sharp"),
    ]


def test_large_pictures_are_shown_small_and_long_names_short() -> None:
    scores = [replace(rows(20.0)[0], name="p0")]
    sheet = worst_sheet(Unchanged(), pairs(1, 720, 1280), scores, scores)
    assert sheet.shape == (16 + 288 + 2 * 16 + 20 + 16, 16 + 3 * (512 + 16), 3)
    short = worst._shortened("seq/" + "x" * 400 + "/000123", 600)
    assert short.startswith("seq/x")
    assert short.endswith("/000123")
    assert "…" in short
    assert worst._shortened("p0", 600) == "p0"
