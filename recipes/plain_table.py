"""The plain table of the terminal: names on the left, numbers on the right, no frame."""

from rich import box
from rich.table import Table


def plain_table(first: str, *others: str) -> Table:
    """An empty table with a column of names, which may fold, and columns of numbers, which may not."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(first, overflow="fold")
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table
