"""Invented words and sentences for rendered pages."""

from collections.abc import Iterator
from zlib import crc32

import numpy as np

_ONSETS: list[str] = [*"bcdfghjklmnprstvwyz", "bl", "br", "ch", "cl", "cr", "dr", "fl", "fr", "gl", "gr", "pl"]
_ONSETS += ["pr", "qu", "sh", "sl", "sp", "st", "str", "th", "tr"]
_NUCLEI: list[str] = [*"aaaeeeeiiioooouy", "ai", "ea", "ee", "ou", "oo"]
_CODAS: list[str] = ["", "", "", "", *"nnrrssttldmxbpg", "ck", "ng", "nd", "nt", "st", "ff"]
_HELD_OUT_EVERY = 5


def invent_words(rng: np.random.Generator, held_out: bool) -> Iterator[str]:
    """Lower-case words without end; about one word in five is held out, and occurs only where that is asked for."""
    while True:
        word = "".join(_syllable(rng) for _ in range(1 + int(2.5 * rng.random() ** 1.5)))
        if (crc32(word.encode()) % _HELD_OUT_EVERY == 0) == held_out:
            yield word


def _syllable(rng: np.random.Generator) -> str:
    open_, onset, nucleus, coda = rng.random(4)
    first = "" if open_ < 0.15 else _ONSETS[int(onset * len(_ONSETS))]
    return first + _NUCLEI[int(nucleus * len(_NUCLEI))] + _CODAS[int(coda * len(_CODAS))]


def running_text(rng: np.random.Generator, held_out: bool) -> Iterator[str]:
    """The words of sentences without end, with capitals, numbers and punctuation."""
    begins = True
    for word in invent_words(rng, held_out):
        kind = rng.random()
        text = number(rng) if kind < 0.05 else word.upper() if kind < 0.07 else word
        if begins or kind > 0.95:
            text = text[:1].upper() + text[1:]
        begins = bool(rng.random() < 0.1)
        if begins:
            yield text + ".....?!"[int(rng.integers(7))]
        elif kind > 0.88:
            yield (f"{text},", f"{text},", f"({text})", f'"{text}"', f"{text};", f"{text}:")[int(rng.integers(6))]
        else:
            yield text


def number(rng: np.random.Generator) -> str:
    """A number as tables and texts hold them."""
    digits = int(rng.integers(1, 5))
    value = int(rng.integers(10**digits))
    return (f"{value}", f"{value / 10:.1f}", f"{value:,}", f"{value}%", f"{value / 100:.2f}")[int(rng.integers(5))]
