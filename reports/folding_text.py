"""Text of a table's cell that folds between words and, in names that are too long, after their separators."""

import re
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions
from rich.containers import Lines
from rich.measure import Measurement
from rich.text import Text

_PARTS = re.compile(r"[^-_/.,:;=+|]*[-_/.,:;=+|]+|[^-_/.,:;=+|]+")
_WORDS = re.compile(r"\S+\s*|\s+")


class FoldingText(Text):
    """As Text, but no word is cut within a part of it that would have fitted, and nothing is left out."""

    def wrap(self, console: Console, width: int, **how: Any) -> Lines:
        """The lines in a width."""
        lines = Lines(
            part for line in self.split(allow_blank=True) for part in line.divide(list(_breaks(line.plain, width)))
        )
        for line in lines:
            line.rstrip_end(width)
        if how.get("justify"):
            lines.justify(console, width, justify=how["justify"], overflow="fold")
        return lines

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """From the longest part to the longest line."""
        parts = (part for word in self.plain.split() for part in _PARTS.findall(word))
        longest = max(map(cell_len, self.plain.splitlines()), default=0)
        return Measurement(max(map(cell_len, parts), default=0), longest)


def _breaks(line: str, width: int) -> Iterator[int]:
    """Where the lines of a width begin, but for the first."""
    used = place = 0
    for piece in _pieces(line, width):
        if used and used + cell_len(piece.rstrip()) > width:
            yield place
            used = 0
        used += cell_len(piece)
        place += len(piece)


def _pieces(line: str, width: int) -> Iterator[str]:
    """What stays together: words, or else their parts, or else as much as fits."""
    for word in _WORDS.findall(line):
        if cell_len(word.rstrip()) <= width:
            yield word
            continue
        for part in _PARTS.findall(word):
            yield from chop_cells(part, width) if cell_len(part.rstrip()) > width else [part]
