"""The differences of two runs on a terminal."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from baseline.measurement import METRICS
from reports.change import Interval, NumberChange
from reports.diff import Difference, TextChange
from reports.table import DASH, latency_text

_STYLES = {"better": "green", "worse": "bold red", "changed": "yellow", "not comparable": "dim"}
_MARKS = {"better": "✓ ", "worse": "✗ "}
_ARROW = "→"


def diff_view(found: Difference) -> RenderableType:
    """What was changed, every number that is not the same, why some cannot be compared, and a summary."""
    shown = [number for number in found.numbers if number.verdict != "same"]
    reasons = list(dict.fromkeys(number.reason for number in shown if number.reason))
    parts: list[RenderableType] = [Text(line) for line in _texts(found)]
    if shown:
        parts.append(_table(found, shown, reasons))
    parts += [Text(f"{place}: {reason}", style="dim") for place, reason in enumerate(reasons, 1)]
    style = "bold red" if found.with_verdict("worse") else "bold"
    return Group(*parts, Text(diff_summary(found), style=style))


def diff_summary(found: Difference) -> str:
    """What it amounts to, in a few sentences."""
    count = Counter(number.verdict for number in found.numbers)
    worse = found.with_verdict("worse")
    first = f"{_count(len(worse))} for the worse beyond noise"
    if worse:
        first += f" ({'; '.join(_by_variant(worse))})"
    rest = [
        f"{count['better']} for the better",
        *([f"{count['changed']} otherwise"] if count["changed"] else []),
        f"{count['within noise']} within noise",
        f"{count['same']} the same",
        f"{count['not comparable']} not comparable",
    ]
    sentences = [f"From {found.old} to {found.new}: {first}, {', '.join(rest)}."]
    sentences += [f"Added: {', '.join(found.added)}."] if found.added else []
    sentences += [f"Removed: {', '.join(found.removed)}."] if found.removed else []
    return " ".join(sentences)


def _count(number: int) -> str:
    return f"{number or 'no'} number{'' if number == 1 else 's'} changed"


def _by_variant(numbers: Sequence[NumberChange]) -> list[str]:
    """The names of numbers, after the variant that they are of."""
    names: dict[str, list[str]] = {}
    for number in numbers:
        names.setdefault(number.variant, []).append(_title(number))
    return [f"{variant}: {', '.join(of)}" for variant, of in names.items()]


def _texts(found: Difference) -> Iterator[str]:
    for title, changes in (
        ("chain", found.chains),
        ("environment", found.environment),
        ("condition", found.conditions),
    ):
        yield from (f"{title} of {change.what}: {_both(change)}" for change in changes)
    for title, names in (("added", found.added), ("removed", found.removed)):
        yield from (f"{title}: {name}" for name in names)


def _both(change: TextChange) -> str:
    return f"{DASH if change.old is None else change.old} {_ARROW} {DASH if change.new is None else change.new}"


def _table(found: Difference, shown: Sequence[NumberChange], reasons: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("variant", overflow="fold")
    table.add_column("number", overflow="fold")
    for title in (found.old, found.new, "difference"):
        table.add_column(Text(title), justify="right", overflow="fold")
    table.add_column("interval", justify="right", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    before = ""
    for number in shown:
        mark = f" {reasons.index(number.reason) + 1}" if number.reason else ""
        verdict = Text(_MARKS.get(number.verdict, "") + number.verdict + mark, style=_STYLES.get(number.verdict, ""))
        title = f"{_title(number)} {number.unit}".strip()
        name = "" if number.variant == before else number.variant
        table.add_row(Text(name, style="bold"), Text(title), *_cells(number), verdict)
        before = number.variant
    return table


def _title(number: NumberChange) -> str:
    return METRICS[number.what].title if number.what in METRICS else number.what


def _cells(number: NumberChange) -> list[str]:
    """The values, their difference and its interval; of a latency, the ranges that must not meet."""
    values = [DASH if value is None else _value(number, value) for value in (number.old, number.new)]
    apart = DASH if number.difference is None else _signed(number, number.difference)
    if number.difference is not None and number.old and _is_size(number):
        share = 100 * number.difference / number.old
        apart += f" ({_with_sign(share, f'{abs(share):.1f}%')})"
    return [*values, apart, _interval(number)]


def _is_size(number: NumberChange) -> bool:
    return number.what.startswith("latency") or number.what in ("params", "macs", "weights_mb", "file_mb")


def _interval(number: NumberChange) -> str:
    if number.ci95 is not None:
        return f"[{', '.join(_signed(number, end) for end in number.ci95)}]"
    if number.old_range is not None and number.new_range is not None:
        return f"{_range(number.old_range)} {_ARROW} {_range(number.new_range)}"
    return ""


def _range(ends: Interval) -> str:
    return "..".join(latency_text(end) for end in ends)


def _value(number: NumberChange, value: float) -> str:
    if number.what in METRICS:
        return f"{value:z,.{METRICS[number.what].decimals}f}"
    return latency_text(value) if number.unit == "ms" else f"{value:z.4g}"


def _signed(number: NumberChange, value: float) -> str:
    return _with_sign(value, _value(number, abs(value)))


def _with_sign(value: float, shown: str) -> str:
    """What is shown of a value's amount, after its sign; what is shown as zero has none."""
    sign = "-" if value < 0 else "+"
    return sign + shown if re.search("[1-9]", shown) else shown
