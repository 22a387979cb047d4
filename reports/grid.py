"""The results table as a text that can be cut to some of its rows and columns, here and by the page's script."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One line of text, with a part for each column of the table between what always stands there."""

    cells: Sequence[str]
    between: str
    start: str = ""
    end: str = "\n"

    @property
    def text(self) -> str:
        """The whole line."""
        return self.start + self.between.join(self.cells) + self.end


@dataclass(frozen=True)
class Grid:
    """The heading's lines, the lines of each row of the table, and what follows them."""

    head: Sequence[Line]
    rows: Sequence[Sequence[Line]]
    tail: str = ""

    @property
    def text(self) -> str:
        """All of it."""
        lines = [*self.head, *(line for row in self.rows for line in row)]
        return "".join(line.text for line in lines) + self.tail
