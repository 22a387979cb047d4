"""The report's table on a terminal."""

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from reports.folding_text import FoldingText
from reports.record import Report
from reports.table import Cell, Row, Table, gates_verdict, holds, tabulate

_WIDEST = 30
"""The widest column of a terminal's table; longer names are folded."""


def terminal_table(report: Report) -> RenderableType:
    """The table for a terminal; where not all columns fit side by side, the rest follow below."""
    return _TerminalTable(tabulate(report), gates_verdict(report))


class _TerminalTable:
    """Draws the table in the width there is."""

    def __init__(self, table: Table, verdict: str | None) -> None:
        self._table = table
        self._verdict = verdict

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = [self._width(place) for place in range(len(self._table.columns))]
        padding = 1 if sum(width + 3 for width in widths) <= options.max_width else 0
        for places in _that_fit(widths, options.max_width):
            yield self._part(places, padding)
        for number, note in enumerate(self._table.footnotes, 1):
            yield Text(f"{number}: {note}", style="dim")
        for note in self._table.notes:
            yield Text(note, style="dim")
        for note in self._table.gate_notes:
            yield Text(f"✗ {note}", style="red")
        if self._verdict is not None:
            yield Text(self._verdict, style="bold")

    def _width(self, place: int) -> int:
        """The width that a column's cells and the words of its heading need."""
        texts = self._table.columns[place].heading.split()
        for row in self._table.rows:
            texts += self._lines(row.cells[place])
        return min(_WIDEST, max(cell_len(text) for text in texts))

    def _lines(self, cell: Cell) -> list[str]:
        number = self._table.footnote(cell)
        return [cell.text + (f" {number}" if number else ""), *([cell.second_line] if cell.second_line else [])]

    def _part(self, places: list[int], padding: int) -> RichTable:
        """Some of the columns as one table."""
        part = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, padding))
        for place in places:
            column, width = self._table.columns[place], self._width(place)
            part.add_column(FoldingText(column.heading), justify="right" if place else "left", width=width)
        for row in self._table.rows:
            part.add_row(*(self._text(row, place) for place in places), end_section=row.kind == "teacher")
        return part

    def _text(self, row: Row, place: int) -> Text:
        first, *second = self._lines(row.cells[place])
        text = FoldingText(first, style="bold" if place == 0 and row.kind != "blurred" else "")
        failed = place == 0 and row.kind == "variant" and not holds(row.variant)
        return text.append("\n" + second[0], style="red" if failed else "dim") if second else text


def _that_fit(widths: list[int], available: int) -> list[list[int]]:
    """The columns' places in groups that are narrow enough; each begins with the first column."""
    groups, used = [[0]], widths[0]
    for place, width in enumerate(widths[1:], 1):
        if used + 1 + width > available and len(groups[-1]) > 1:
            groups.append([0])
            used = widths[0]
        groups[-1].append(place)
        used += 1 + width
    return groups
