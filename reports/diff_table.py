"""The numbers of two runs on a terminal, as a table that breaks no word."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby, takewhile

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from baseline.measurement import METRICS
from reports.change import NumberChange
from reports.digits import compact, latency_text, latency_texts
from reports.table import DASH

_STYLES = {"better": "green", "worse": "bold red", "changed": "yellow", "not comparable": "dim"}
_MARKS = {"better": "✓ ", "worse": "✗ "}
_ARROW = "→"
_COUNTS = ("params", "macs")
_LATENCY = "latency ("
_GAP = 2
_LEAST_TITLE = 20
"""Intervals stand beside their differences only if this much is left for a number's name."""
_LONGEST_NAME = 16
"""Runs with longer names are headed old and new."""


class DiffTable:
    """Numbers of the runs `old` and `new`, below their variants' names; reasons by their place in `reasons`, from 1.

    Where an interval does not fit beside the difference that it is of, it is below it.
    """

    def __init__(self, old: str, new: str, numbers: Sequence[NumberChange], reasons: Sequence[str]) -> None:
        names = (old, new) if max(cell_len(old), cell_len(new)) <= _LONGEST_NAME else ("old", "new")
        self._titles = ["number", *names, "difference", "interval", "verdict"]
        self._shared = _shared_by_latencies(numbers)
        self._numbers = numbers
        self._rows = [_cells(number, self._shared, reasons) for number in numbers]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        titles, rows = self._titles, self._rows
        if not _fits([titles, *rows], options.max_width):
            titles, rows = [*titles[:4], titles[5]], [_stacked(cells) for cells in rows]
        widths = _widths([titles, *rows], options.max_width)
        yield _table(titles, widths, show_header=True)
        for name, pairs in groupby(zip(self._numbers, rows, strict=True), lambda pair: pair[0].variant):
            yield Text(name, style="bold")
            table = _table(titles, widths, show_header=False)
            for number, (*cells, verdict) in pairs:
                table.add_row(*map(Text, cells), Text(verdict, style=_STYLES.get(number.verdict, "")))
            yield table
        if self._shared:
            yield Text(f"latency: {self._shared}", style="dim")


def title_of(number: NumberChange) -> str:
    """What a number is called."""
    return METRICS[number.what].title if number.what in METRICS else number.what


def _shared_by_latencies(numbers: Iterable[NumberChange]) -> str:
    """What all latencies end with, beyond runtime and device: it is said once."""
    places = [one.what.removesuffix(")").split(", ")[:1:-1] for one in numbers if one.what.startswith(_LATENCY)]
    alike = takewhile(lambda parts: len(set(parts)) == 1, zip(*places, strict=False))
    return ", ".join(reversed([parts[0] for parts in alike]))


def _cells(number: NumberChange, shared: str, reasons: Sequence[str]) -> list[str]:
    """A row of the table: name, values, difference, interval (of a latency, the ranges that must not meet), verdict."""
    title = title_of(number)
    if shared and title.startswith(_LATENCY):
        title = title.replace(f", {shared})", ")")
    values = [DASH if value is None else _value(number, value) for value in (number.old, number.new)]
    mark = f" {reasons.index(number.reason) + 1}" if number.reason else ""
    verdict = _MARKS.get(number.verdict, "") + number.verdict + mark
    return [f"{title} {number.unit}".strip(), *values, _difference(number), _interval(number), verdict]


def _stacked(cells: Sequence[str]) -> list[str]:
    """A row with its interval below its difference."""
    *first, apart, interval, verdict = cells
    return [*first, f"{apart}\n{interval}" if interval else apart, verdict]


def _widths(lines: Sequence[Sequence[str]], available: int) -> list[int]:
    """The columns' widths: where they are too many, names and then differences are folded, between words only."""
    columns = list(zip(*lines, strict=True))
    widths = [_widest(cells) for cells in columns]
    for place in (0, 3):
        excess = sum(widths) + _GAP * (len(widths) - 1) - available
        longest_word = max(cell_len(word) for cell in columns[place] for word in cell.split())
        widths[place] = max(longest_word, widths[place] - max(0, excess))
    return widths


def _fits(lines: Sequence[Sequence[str]], available: int) -> bool:
    """Whether no column needs to be folded but the first, and that one not to less than _LEAST_TITLE."""
    first, *others = map(_widest, zip(*lines, strict=True))
    return min(first, _LEAST_TITLE) + sum(others) + _GAP * len(others) <= available


def _widest(cells: Iterable[str]) -> int:
    return max(cell_len(line) for cell in cells for line in cell.split("\n"))


def _table(titles: Sequence[str], widths: Sequence[int], show_header: bool) -> Table:
    """An empty table; all columns but the first and the last are of numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, show_header=show_header)
    for place, (title, width) in enumerate(zip(titles, widths, strict=True)):
        number = 0 < place < len(titles) - 1
        table.add_column(Text(title), width=width, justify="right" if number else "left", overflow="fold")
    return table


def _difference(number: NumberChange) -> str:
    """A difference; of a size, in percent, too."""
    if number.difference is None:
        return DASH
    apart = _signed(number, number.difference)
    if not number.old or not _is_size(number):
        return apart
    share = 100 * number.difference / number.old
    return f"{apart} ({_with_sign(share, f'{abs(share):.1f}%')})"


def _is_size(number: NumberChange) -> bool:
    return number.what.startswith(_LATENCY) or number.what in (*_COUNTS, "weights_mb", "file_mb")


def _interval(number: NumberChange) -> str:
    if number.ci95 is not None:
        return f"[{', '.join(_signed(number, end) for end in number.ci95)}]"
    if number.old_range is not None and number.new_range is not None:
        ends = latency_texts([*number.old_range, *number.new_range])
        return f"{'..'.join(ends[:2])} {_ARROW} {'..'.join(ends[2:])}"
    return ""


def _value(number: NumberChange, value: float) -> str:
    """A value in the digits that a report shows; a count in full only where it would look like the other run's."""
    if number.what in _COUNTS and compact(number.old or 0) != compact(number.new or 0):
        return compact(value)
    if number.what in METRICS:
        return f"{value:z,.{METRICS[number.what].decimals}f}"
    return latency_text(value) if number.unit == "ms" else f"{value:z.4g}"


def _signed(number: NumberChange, value: float) -> str:
    return _with_sign(value, _value(number, abs(value)))


def _with_sign(value: float, shown: str) -> str:
    """What is shown of a value's amount, after its sign; what is shown as zero has none."""
    sign = "-" if value < 0 else "+"
    return sign + shown if re.search("[1-9]", shown) else shown
