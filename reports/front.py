"""The front of a report: the variants that no other one beats in quality, speed, size and cost at once."""

from reports.record import Report, Variant
from reports.table import Column, all_columns, holds, latency_columns


def front(report: Report) -> list[str]:
    """The names of the non-dominated variants, in the report's order; one that failed or broke a gate is none of them.

    Two variants are compared only over what both of them have.
    """
    columns = front_columns(report)
    sound = {variant.name: _values(variant, columns, report) for variant in report.variants if holds(variant)}
    known = {name: values for name, values in sound.items() if values}
    return [name for name, values in known.items() if not any(_dominates(known[o], values) for o in known if o != name)]


def front_columns(report: Report) -> list[Column]:
    """What counts for the front, as far as the report speaks of it."""
    counted = {"psnr_db", "file_mb", "macs", *(column.key for column in latency_columns(report)[:1])}
    return [column for column in all_columns(report) if column.key in counted]


def front_gaps(report: Report) -> list[str]:
    """A line for each sound variant that lacks something that counts: it is compared without it."""
    columns = front_columns(report)
    lines = []
    for variant in filter(holds, report.variants):
        values = _values(variant, columns, report)
        lacking = [column.heading for column in columns if column.key not in values]
        if lacking:
            lines.append(f"{variant.name} has no {', no '.join(lacking)}: compared over the rest.")
    return lines


def _values(variant: Variant, columns: list[Column], report: Report) -> dict[str, float]:
    """What is known of a variant, by column; turned so that less is better."""
    cells = [(column, column.cell(variant, report).raw[:1]) for column in columns]
    return {
        column.key: -value if column.direction == "higher" else value
        for column, raw in cells
        for value in raw
        if isinstance(value, int | float)
    }


def _dominates(one: dict[str, float], other: dict[str, float]) -> bool:
    """Whether `one` is at least as good as `other` in all that both have, and better in something."""
    both = one.keys() & other.keys()
    return all(one[key] <= other[key] for key in both) and any(one[key] < other[key] for key in both)
