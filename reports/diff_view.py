"""The differences of two runs on a terminal."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from reports.change import NumberChange
from reports.diff import Difference, TextChange
from reports.diff_table import DiffTable, title_of
from reports.table import DASH

_ARROW = "→"


def diff_view(found: Difference) -> RenderableType:
    """What was changed, every number that is not the same, why some cannot be compared, and a summary."""
    shown = [number for number in found.numbers if number.verdict != "same"]
    reasons = list(dict.fromkeys(number.reason for number in shown if number.reason))
    parts: list[RenderableType] = [Text(line) for line in _texts(found)]
    if shown:
        parts.append(DiffTable(found.old, found.new, shown, reasons))
    parts += [Text(f"{place}: {reason}", style="dim") for place, reason in enumerate(reasons, 1)]
    style = "bold red" if found.with_verdict("worse") else "bold"
    return Group(*parts, Text(diff_summary(found), style=style))


def diff_summary(found: Difference) -> str:
    """What it amounts to, in a few sentences."""
    sentences = [_numbers_summary(found)]
    sentences += [f"Added: {', '.join(found.added)}."] if found.added else []
    sentences += [f"Removed: {', '.join(found.removed)}."] if found.removed else []
    return " ".join(sentences)


def _numbers_summary(found: Difference) -> str:
    """How many numbers came to which verdict, in a sentence."""
    count = Counter(number.verdict for number in found.numbers)
    if count.keys() == {"same"}:
        return f"From {found.old} to {found.new}, no number changed: all {count['same']} are the same."
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
    return f"From {found.old} to {found.new}: {first}, {', '.join(rest)}."


def _count(number: int) -> str:
    return f"{number or 'no'} number{'' if number == 1 else 's'} changed"


def _by_variant(numbers: Sequence[NumberChange]) -> list[str]:
    """The names of numbers, after the variant that they are of."""
    names: dict[str, list[str]] = {}
    for number in numbers:
        names.setdefault(number.variant, []).append(title_of(number))
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
