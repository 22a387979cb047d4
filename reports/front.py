"""The front of a report: the variants that no other one beats in quality, speed, size and cost at once."""

from collections.abc import Iterator

from baseline.measurement import METRICS
from reports.digits import change_text, latency_text
from reports.files import smallest_file, teachers_size
from reports.noise import NOISY, is_noisy
from reports.record import LatencyRow, Report, Variant
from reports.table import DASH, Cell, Column, all_columns, holds, timed_at, timing_conditions, why_missing


def front(report: Report) -> list[str]:
    """The names of the non-dominated variants, in the report's order; one that failed or broke a gate is none of them.

    Two variants are compared only over what both of them have.
    """
    columns = front_columns(report)
    sound = {variant.name: _values(variant, columns, report) for variant in report.variants if holds(variant)}
    known = {name: values for name, values in sound.items() if values}
    return [name for name, values in known.items() if not any(_dominates(known[o], values) for o in known if o != name)]


def front_columns(report: Report) -> list[Column]:
    """What counts for the front, as far as the report speaks of it; the speed on each device that timed anything."""
    of_key = {column.key: column for column in all_columns(report)}
    return [of_key["macs"], smallest_column(), of_key["psnr_db"], *fastest_columns(report)]


def smallest_column() -> Column:
    """Each row's smallest file, its runtime as `more`; a change is against the teacher's file of the same runtime."""

    def cell(variant: Variant, report: Report) -> Cell:
        file = smallest_file(variant)
        if file is None:
            return Cell(DASH, missing=why_missing(variant, "file_mb"))
        change = "" if variant is report.teacher else change_text(file.size_mb, teachers_size(file, report))
        return Cell(f"{file.size_mb:.2f}", change=change, more=file.runtime, raw=(file.size_mb,))

    meaning = METRICS["file_mb"]
    return Column("smallest_file", meaning.title, meaning.unit, meaning.direction, cell, ("smallest_file_mb",))


def fastest_columns(report: Report) -> list[Column]:
    """A column for each device and machine that timed anything: each row's time on the runtime that is fastest for it.

    Times under other threads, batches or sizes are other columns. The cells' `more` is the runtime.
    """
    timed = [row for variant in (report.teacher, *report.variants) for row in _timed(variant)]
    places = list(dict.fromkeys(_fair(row) for row in timed))
    machines = [place[:-1] for place in places]
    return [_fastest_column(place, place if machines.count(place[:-1]) > 1 else place[:-1]) for place in places]


def _fastest_column(place: tuple[str, ...], named: tuple[str, ...]) -> Column:
    def fastest(variant: Variant) -> LatencyRow | None:
        return min(
            (row for row in _timed(variant) if _fair(row) == place), key=lambda row: row.median_ms or 0, default=None
        )

    def cell(variant: Variant, report: Report) -> Cell:
        row, teacher = fastest(variant), fastest(report.teacher)
        if row is None or row.median_ms is None:
            return Cell(DASH, missing=f"not timed on {', '.join(named)}")
        against = None if teacher is None or variant is report.teacher else teacher.median_ms
        change = change_text(row.median_ms, against)
        runtime = f"{row.runtime}, {NOISY}" if is_noisy(row) else row.runtime
        return Cell(latency_text(row.median_ms), change=change, more=runtime, raw=(row.median_ms,))

    names = ", ".join(named)
    return Column(f"fastest ({names})", "Latency", "ms", "lower", cell, (f"fastest_ms ({names})",), f"({names})")


def _timed(variant: Variant) -> Iterator[LatencyRow]:
    return (row for row in variant.latency if row.median_ms is not None)


def _fair(row: LatencyRow) -> tuple[str, ...]:
    """Where and under which conditions a row was timed, whatever the runtime: what can be compared in milliseconds."""
    return (*timed_at(row)[1:], timing_conditions(row))


def front_gaps(report: Report) -> list[str]:
    """A line for each thing that sound variants lack though it counts: they are compared without it."""
    columns = front_columns(report)
    names: dict[str, list[str]] = {}
    for variant in filter(holds, report.variants):
        values = _values(variant, columns, report)
        lacking = [column.heading for column in columns if column.key not in values]
        if lacking:
            names.setdefault(f"no {', no '.join(lacking)}", []).append(variant.name)
    return [
        f"{', '.join(those)} {'has' if len(those) == 1 else 'have'} {lacking}: compared over the rest."
        for lacking, those in names.items()
    ]


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
