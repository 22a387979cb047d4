"""The numbers of a model card: a row each, the variant's beside the teacher's."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from baseline.measurement import METRICS
from reports.digits import change_text, latency_text, latency_texts
from reports.files import files_of, teachers_size
from reports.markdown import escaped
from reports.noise import noise_text
from reports.record import LatencyRow, Report, Variant
from reports.table import DASH, Cell, Column, all_columns, latency_columns

_COMPARED = ("psnr_db", "ssim", "lpips")


@dataclass(frozen=True)
class _Row:
    heading: str
    own: Cell
    teacher: str
    change: str


def numbers(report: Report, variant: Variant) -> list[str]:
    """The table as Markdown, the reasons for its dashes, and the quality of the blurred input."""
    alone = variant is report.teacher
    rows = [*_metric_rows(report, variant), *_file_rows(report, variant), *_latency_rows(report, variant)]
    reasons = list(dict.fromkeys(row.own.missing for row in rows if row.own.missing))
    titles = ["", "This network", *([] if alone else ["Teacher", "Against the teacher"])]
    lines = [titles, [":--", *["--:"] * (len(titles) - 1)]]
    for row in rows:
        note = f"<sup>{reasons.index(row.own.missing) + 1}</sup>" if row.own.missing else ""
        own = card_text(f"{row.own.text} {row.own.more}") + note
        lines.append([card_text(row.heading), own, *([] if alone else [row.teacher, row.change])])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"{number}. {card_text(reason)}" for number, reason in enumerate(reasons, 1))
    return [block for block in (table, notes, _blurred(report)) if block]


def card_text(text: str) -> str:
    """Text that Markdown shows as it is, underscores and tildes too."""
    return re.sub(r"([_~])", r"\\\1", escaped(text))


def _metric_rows(report: Report, variant: Variant) -> Iterator[_Row]:
    """The report's columns but the latencies; what does not apply, as a loss of the teacher, has no row."""
    left_out = {"name", *(column.key for column in latency_columns(report))}
    left_out |= {"file_mb"} if files_of(variant) else set()
    for column in all_columns(report):
        own, teacher = column.cell(variant, report), column.cell(report.teacher, report)
        if column.key not in left_out and (own.raw or own.missing):
            yield _Row(column.heading, own, teacher.text, own.change or _difference(column, own, teacher))


def _file_rows(report: Report, variant: Variant) -> Iterator[_Row]:
    """A row for the file of every runtime, beside the teacher's for the same."""
    for file in files_of(variant):
        reference = teachers_size(file, report)
        change = "" if variant is report.teacher else change_text(file.size_mb, reference)
        heading = f"File MB ({file.runtime})" if file.runtime else "File MB"
        yield _Row(heading, Cell(f"{file.size_mb:.2f}"), DASH if reference is None else f"{reference:.2f}", change)


def _difference(column: Column, own: Cell, teacher: Cell) -> str:
    """A quality less the teacher's."""
    if column.key not in _COMPARED or not own.raw or not teacher.raw:
        return ""
    value, reference = own.raw[0], teacher.raw[0]
    if not isinstance(value, float) or not isinstance(reference, float):
        return ""
    return f"{value - reference:+.{METRICS[column.key].decimals}f}"


def _latency_rows(report: Report, variant: Variant) -> Iterator[_Row]:
    """A row for every latency, with its conditions, beside the teacher's under the same."""
    for row in variant.latency:
        if row.median_ms is None:
            missing = Cell(DASH, missing=row.missing or "not timed")
            yield _Row(f"Latency ms ({row.runtime}, {row.device})", missing, DASH, "")
            continue
        same = (r.median_ms for r in report.teacher.latency if _conditions(r) == _conditions(row))
        reference = next(same, None)
        ends = [] if row.p10_ms is None or row.p90_ms is None else [row.p10_ms, row.p90_ms]
        median, *spread = latency_texts([row.median_ms, *ends])
        change = change_text(row.median_ms, reference)
        range_ = f"[{', '.join(spread)}]" if spread else ""
        noise = f"noisy: {noise_text(row)}" if noise_text(row) else ""
        own = Cell(median, more=" ".join(filter(None, (range_, noise))))
        yield _Row(_latency_heading(row), own, latency_text(reference) if reference else DASH, change)


def _conditions(row: LatencyRow) -> tuple[object, ...]:
    return (row.runtime, row.device, row.threads, row.batch, row.size)


def _latency_heading(row: LatencyRow) -> str:
    height, width = row.size
    file = "" if row.file else ", no file"
    place = f"{row.runtime}, {row.device}, {row.dtype}, {row.threads} threads, {row.batch}x{height}x{width}{file}"
    return f"Latency ms ({place}) [p10, p90]"


def _blurred(report: Report) -> str:
    """The quality of the input, without which that of the output says little; nothing if it is not known."""
    run = report.run
    known = {"psnr_db": run.blurred_psnr_db, "ssim": run.blurred_ssim, "lpips": run.blurred_lpips}
    parts = [
        " ".join(f"{METRICS[key].title} {value:.{METRICS[key].decimals}f} {METRICS[key].unit}".split())
        for key, value in known.items()
        if value is not None
    ]
    return f"The blurred input as it is: {', '.join(parts)}." if parts else ""
