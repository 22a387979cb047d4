"""The report's table: the one place that defines its columns, for every format."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from baseline.measurement import METRICS, Direction
from reports.digits import change_text, compact, latency_text
from reports.files import scored_file, scored_runtimes, scoring_notes, teachers_size
from reports.noise import NOISY, is_noisy, noise_notes
from reports.record import GateVerdict, LatencyRow, Report, Variant

DASH = "\N{EN DASH}"

Raw = float | int | str | None
"""A value as CSV holds it."""


@dataclass(frozen=True)
class Cell:
    """One value of one row: what all formats show of it. Without a value, `text` is a dash and `missing` says why."""

    text: str
    change: str = ""
    more: str = ""
    missing: str = ""
    raw: tuple[Raw, ...] = ()

    @property
    def sort_value(self) -> Raw:
        """What a table is sorted by; None, which comes last, without a value."""
        return self.raw[0] if self.raw else None

    @property
    def second_line(self) -> str:
        """What stands small under the text: the change against the teacher, and the rest."""
        return ", ".join(part for part in (self.change, self.more) if part)

    @property
    def beside(self) -> str:
        """The same in one line with the text: a change in brackets."""
        return f"({self.second_line})" if self.change else self.more


@dataclass(frozen=True)
class Column:
    """One column of the table; `csv_headers` name the entries of its cells' `raw`.

    Where cells are not `comparable` with each other, none stands out.
    """

    key: str
    title: str
    unit: str
    direction: Direction
    cell: Callable[[Variant, Report], Cell]
    csv_headers: tuple[str, ...]
    qualifier: str = ""
    comparable: bool = True

    @property
    def heading(self) -> str:
        """Title, unit and qualifier, as far as there are any."""
        return " ".join(part for part in (self.title, self.unit, self.qualifier) if part)


@dataclass(frozen=True)
class Row:
    """One row of the table, with a cell for each column."""

    kind: Literal["blurred", "teacher", "variant"]
    variant: Variant
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """Columns, rows, and what must be known of them.

    Footnotes are the reasons for missing values; a dash's number is its reason's place.
    """

    columns: list[Column]
    rows: list[Row]
    footnotes: list[str]
    gate_notes: list[str]
    notes: list[str]

    def cells_of(self, row: Row) -> list[tuple[Column, Cell]]:
        """A row's cells, each with its column."""
        return list(zip(self.columns, row.cells, strict=True))

    def footnote(self, cell: Cell) -> str:
        """The number of the cell's footnote, or nothing."""
        return str(self.footnotes.index(cell.missing) + 1) if cell.missing else ""


def tabulate(report: Report) -> Table:
    """The table of a report: the blurred input if its quality is known, the teacher, the variants in their order."""
    columns = all_columns(report)
    rows = [*_blurred_row(report, columns)]
    for variant in (report.teacher, *report.variants):
        kind: Literal["teacher", "variant"] = "teacher" if variant is report.teacher else "variant"
        rows.append(Row(kind, variant, [column.cell(variant, report) for column in columns]))
    reasons = dict.fromkeys(cell.missing for row in rows for cell in row.cells if cell.missing)
    notes = [*recipe_notes(report), *scoring_notes(report), *noise_notes(report)]
    return Table(columns, rows, list(reasons), gate_notes(report), notes)


def all_columns(report: Report) -> list[Column]:
    """Every column of this report, in order."""
    return [
        Column("name", "Variant", "", "none", _name_cell, ("name", "role", "status")),
        _count_column("params", title="Params"),
        _count_column("macs"),
        _count_column("macs", key="flops", title="FLOPs", factor=2),
        _file_column(report),
        *latency_columns(report),
        _metric_column("psnr_db"),
        _metric_column("ssim"),
        *([_metric_column("lpips")] if _is_measured(report, "lpips") else []),
        Column(
            "psnr_loss_db",
            "PSNR loss",
            "dB",
            "lower",
            _psnr_loss_cell,
            ("psnr_loss_db", "psnr_loss_ci95_low_db", "psnr_loss_ci95_high_db"),
            "[95% interval]",
        ),
        _metric_column("gain_kept"),
        Column(
            "effort",
            "Effort",
            "",
            "none",
            _effort_cell,
            ("effort_steps", "effort_minutes", "effort_pictures"),
            "steps / min (pictures)",
        ),
    ]


def latency_columns(report: Report) -> list[Column]:
    """A column for each runtime, device and machine that was timed or says why not; more for several conditions."""
    rows = [row for variant in (report.teacher, *report.variants) for row in variant.latency]
    rows = [row for row in rows if row.median_ms is not None or row.missing]
    columns = []
    for place in dict.fromkeys(timed_at(row) for row in rows):
        timed = [row for row in rows if timed_at(row) == place and row.median_ms is not None]
        in_memory = bool(timed) and not any(row.file for row in timed)
        names = ", ".join(place) + (", no file" if in_memory else "")
        conditions, noisy = list(dict.fromkeys(timing_conditions(row) for row in timed)), any(map(is_noisy, timed))
        if len(conditions) < 2:
            columns.append(_latency_column(place, "", names, noisy))
        else:
            columns += [_latency_column(place, text, f"{names}, {text}", noisy) for text in conditions]
    return columns


def timed_at(row: LatencyRow) -> tuple[str, ...]:
    """The runtime and device and, in a report of several runs, the machine: times of two places are not compared."""
    return (row.runtime, row.device) if row.machine is None else (row.runtime, row.device, row.machine)


def recipe_notes(report: Report) -> list[str]:
    """What the recipe says of its variants, a line each."""
    return [f"{variant.name}: {variant.note}" for variant in report.variants if variant.note]


def gate_notes(report: Report) -> list[str]:
    """A line for each gate that failed or could not be judged."""
    rows = (report.teacher, *report.variants)
    return [f"{row.name}: {gate_note(gate)}" for row in rows for gate in row.gates if not gate.passed]


def gate_note(gate: GateVerdict) -> str:
    """What there is to say of a gate that failed or could not be judged."""
    measured = DASH if gate.measured is None else f"{gate.measured:.4g}"
    verdict = "could not be judged" if gate.passed is None else "failed"
    reason = f" ({gate.reason})" if gate.reason else ""
    return f"gate {gate.gate} {verdict}: {measured}, limit {gate.limit:.4g}{reason}"


def gates_verdict(report: Report) -> str | None:
    """Who holds all gates, in a sentence; None where there are no gates. One that was not judged is not held.

    A variant that failed before its gates were judged holds none. One that never had any is counted apart.
    """
    gated = [variant for variant in report.variants if variant.gates or variant.status != "done"]
    if not any(variant.gates for variant in gated):
        return None
    holding = [v.name for v in gated if v.status == "done" and all(gate.passed for gate in v.gates)]
    names = f": {', '.join(holding)}" if holding else ""
    ungated = len(report.variants) - len(gated)
    others = f"; {ungated} {'has' if ungated == 1 else 'have'} no gates" if ungated else ""
    return f"{len(holding)} of {len(gated)} variants hold all their gates{names}{others}."


def holds(variant: Variant) -> bool:
    """Whether a variant was made and failed no gate."""
    return variant.status == "done" and all(gate.passed is not False for gate in variant.gates)


WORSE_THAN_BLURRED = "does worse than leaving the picture alone"


def is_worse_than_blurred(variant: Variant, blurred_psnr_db: float | None = None) -> bool:
    """Whether restored pictures are worse than the blurred ones: gain kept is negative.

    Where there is no gain to keep, their mean PSNR is compared with the blurred pictures', if that is given.
    """
    gain, restored = variant.value("gain_kept"), variant.value("psnr_db")
    if gain is not None:
        return gain < 0
    return restored is not None and blurred_psnr_db is not None and restored < blurred_psnr_db


def eligible(report: Report) -> list[Variant]:
    """The variants that may be the best of something: they failed no gate.

    One that does worse than the blurred input is among them only if all do.
    """
    holding, blurred = list(filter(holds, report.variants)), report.run.blurred_psnr_db
    return [variant for variant in holding if not is_worse_than_blurred(variant, blurred)] or holding


def best_variants(report: Report, column: Column) -> list[Variant]:
    """The eligible variants that are best in a column; none where no direction is better."""
    values = []
    for variant in eligible(report):
        value = column.cell(variant, report).sort_value
        if isinstance(value, int | float):
            values.append((value, variant))
    if column.direction == "none" or not values:
        return []
    best = (min if column.direction == "lower" else max)(value for value, _ in values)
    return [variant for value, variant in values if value == best]


def standing_out(report: Report, column: Column) -> list[Variant]:
    """The variants to mark as best in a column: none if all are equal there, or cannot be compared."""
    best = best_variants(report, column)
    return best if column.comparable and len(best) < len(eligible(report)) else []


def _is_measured(report: Report, metric: str) -> bool:
    """Whether any row has a value: records older than a metric lack it altogether, and need no column of dashes."""
    found = (variant.metrics.get(metric) for variant in (report.teacher, *report.variants))
    return any(measured is not None and measured.value is not None for measured in found)


def _metric_column(metric: str) -> Column:
    """The column of a metric."""
    meaning = METRICS[metric]

    def cell(variant: Variant, report: Report) -> Cell:
        value = variant.value(metric)
        if value is None:
            own = variant is report.teacher and metric == "gain_kept"
            return Cell(DASH, missing="" if own else why_missing(variant, metric))
        return Cell(f"{value:.{meaning.decimals}f}", raw=(value,))

    return Column(metric, meaning.title, meaning.unit, meaning.direction, cell, (metric,))


def _count_column(metric: str, *, key: str = "", title: str = "", factor: int = 1) -> Column:
    """The column of a count (times a factor, but in the same unit), with its change against the teacher."""
    meaning = METRICS[metric]

    def cell(variant: Variant, report: Report) -> Cell:
        value, against = variant.value(metric), report.teacher.value(metric)
        if value is None:
            return Cell(DASH, missing=why_missing(variant, metric))
        return Cell(
            text=compact(factor * value, like=value),
            change="" if variant is report.teacher else change_text(value, against),
            raw=(int(factor * value),),
        )

    key = key or metric
    return Column(key, title or meaning.title, meaning.unit, meaning.direction, cell, (key,))


def _file_column(report: Report) -> Column:
    """The column of the file that was scored: its runtime is in the heading or, if they differ, in the cells.

    A change is against the teacher's file of the same runtime and run only.
    """
    meaning, runtimes = METRICS["file_mb"], scored_runtimes(report)
    named = "(runtime as named)" if len(runtimes) > 1 else "".join(f"({runtime})" for runtime in runtimes if runtime)

    def cell(variant: Variant, report: Report) -> Cell:
        file = scored_file(variant)
        if file is None:
            return Cell(DASH, missing=why_missing(variant, "file_mb"))
        return Cell(
            text=f"{file.size_mb:.{meaning.decimals}f}",
            change="" if variant is report.teacher else change_text(file.size_mb, teachers_size(file, report)),
            more=file.runtime if len(runtimes) > 1 else "",
            raw=(file.size_mb, file.runtime),
        )

    headers = ("file_mb", "file_runtime")
    alike = len(runtimes) < 2
    return Column("file_mb", meaning.title, meaning.unit, meaning.direction, cell, headers, named, alike)


def _latency_column(place: tuple[str, ...], conditions: str, names: str, noisy: bool) -> Column:
    """The column of one place that `timed_at` tells apart; empty conditions stand for any. `noisy`: some cells are."""

    def found(variant: Variant) -> LatencyRow | None:
        rows = [row for row in variant.latency if timed_at(row) == place]
        rows = [row for row in rows if row.median_ms is None or conditions in ("", timing_conditions(row))]
        return next((row for row in rows if row.median_ms is not None), rows[0] if rows else None)

    def cell(variant: Variant, report: Report) -> Cell:
        row, teacher = found(variant), found(report.teacher)
        if row is None or row.median_ms is None:
            return Cell(DASH, missing=(row.missing if row else None) or _why_untimed(variant, place))
        mark, against = NOISY if is_noisy(row) else "", teacher.median_ms if teacher else None
        return Cell(
            text=latency_text(row.median_ms),
            change=change_text(row.median_ms, against) if variant is not report.teacher else "",
            more=mark,
            raw=(row.median_ms, row.p10_ms, row.p90_ms, mark)[: len(headers)],
        )

    headers = tuple(f"latency_{part} ({names})" for part in ("median_ms", "p10_ms", "p90_ms", "noise"))[: 3 + noisy]
    return Column(f"latency ({names})", "Latency", "ms", "lower", cell, headers, f"({names})")


def _why_untimed(variant: Variant, place: tuple[str, ...]) -> str:
    """Why a variant has no row for a place; in a report of several runs, not all of them have all variants."""
    elsewhere = bool(variant.latency) and all(timed_at(row)[2:] != place[2:] for row in variant.latency)
    return f"not timed on {place[-1]}" if elsewhere else why_missing(variant, "latency")


def timing_conditions(row: LatencyRow) -> str:
    """Under which threads, batch and size a row was timed: times under others are not compared."""
    return f"{row.threads} threads, {row.batch}x{row.size[0]}x{row.size[1]}"


def _name_cell(variant: Variant, report: Report) -> Cell:
    """The name, marked if this is the teacher, failed, failed a gate, or does worse than the blurred input."""
    gate_failed = any(gate.passed is False for gate in variant.gates)
    role = "teacher" if variant is report.teacher else "variant"
    status = "gate failed" if gate_failed else variant.status
    worse = is_worse_than_blurred(variant, report.run.blurred_psnr_db)
    faults = [*([status] if status != "done" else []), *(["worse than blurred"] if worse else [])]
    mark = f"✗ {', '.join(faults)}" if faults else role if role == "teacher" != variant.name else ""
    missing = why_missing(variant, "") if variant.error else ""
    return Cell(variant.name, more=mark, missing=missing, raw=(variant.name, role, status))


def _psnr_loss_cell(variant: Variant, report: Report) -> Cell:
    """The loss against the teacher, with its 95% interval."""
    measured = variant.metrics.get("psnr_loss_db")
    if measured is None or measured.value is None:
        missing = "" if variant is report.teacher else why_missing(variant, "psnr_loss_db")
        return Cell(DASH, missing=missing)
    low, high = measured.ci95 or (None, None)
    interval = f"[{low:z.2f}, {high:z.2f}]" if low is not None else ""
    return Cell(f"{measured.value:z.2f}", more=interval, raw=(measured.value, low, high))


def _effort_cell(variant: Variant, report: Report) -> Cell:
    """Steps and minutes, and the pictures drawn."""
    effort = variant.effort
    if not (effort.steps or effort.minutes) and variant is report.teacher:
        return Cell(DASH, missing=variant.missing.get("effort", "this run did not train the teacher"))
    if not (effort.steps or effort.minutes) and ("effort" in variant.missing or variant.error):
        return Cell(DASH, missing=why_missing(variant, "effort"))
    return Cell(
        f"{compact(effort.steps)} / {effort.minutes:.1f}",
        more=f"({compact(effort.pictures)})" if effort.pictures else "",
        raw=(effort.steps, effort.minutes, effort.pictures),
    )


def why_missing(variant: Variant, key: str) -> str:
    """Why a variant has no such number; a failed variant's error explains all of its own."""
    measured = variant.metrics.get(key)
    if measured is not None and measured.missing:
        return measured.missing
    if key in variant.missing:
        return variant.missing[key]
    if variant.error:
        return f"{variant.name} failed: {variant.error}"
    return f"the record has no {key}"


def _blurred_row(report: Report, columns: list[Column]) -> Iterator[Row]:
    """The row of the unrestored input: its quality; nothing else applies to it."""
    run = report.run
    quality = {"psnr_db": run.blurred_psnr_db, "ssim": run.blurred_ssim, "lpips": run.blurred_lpips}
    known = {
        key: METRICS[key].measured(value, "the blurred input as it is")
        for key, value in quality.items()
        if value is not None
    }
    blurred = Variant(name="blurred input", metrics=known)
    if known:
        name = Cell(blurred.name, raw=(blurred.name, "input", ""))
        cells = [column.cell(blurred, report) if column.key in known else Cell(DASH) for column in columns[1:]]
        yield Row("blurred", blurred, [name, *cells])
