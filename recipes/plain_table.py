"""The plain table of the terminal: names on the left, numbers on the right, no frame."""

from rich import box
from rich.console import RenderableType
from rich.style import StyleType
from rich.table import Table

from reports.folding_text import FoldingText


class PlainTable(Table):
    """A table whose strings are shown as they are, and fold where they do not fit."""

    def add_row(self, *cells: RenderableType | None, style: StyleType | None = None, end_section: bool = False) -> None:
        """Add a row of texts."""
        shown = (FoldingText(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*shown, style=style, end_section=end_section)


def plain_table(first: str, *others: str) -> PlainTable:
    """An empty table with a column of names, which may fold, and columns of numbers, which may not."""
    table = PlainTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(FoldingText(first))
    for title in others:
        table.add_column(FoldingText(title), justify="right", no_wrap=True)
    return table


def plain_list() -> PlainTable:
    """An empty table of names and what they are, without heads."""
    return PlainTable(box=None, show_header=False, padding=(0, 2, 0, 0))
