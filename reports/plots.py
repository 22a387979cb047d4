"""What the report's interactive plots draw, as data for plots.js: quality against cost, latencies, loss by picture."""

import html
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from baseline.measurement import METRICS
from reports.digits import latency_text, latency_texts
from reports.noise import noise_text
from reports.record import LatencyRow, Report, Variant
from reports.table import (
    DASH,
    WORSE_THAN_BLURRED,
    Column,
    all_columns,
    holds,
    is_worse_than_blurred,
    latency_columns,
    timed_at,
    why_missing,
)

_QUALITY = ("gain_kept", "psnr_loss_db", "psnr_db")
_COST = ("macs", "file_mb", "params")
_LONGEST_LINE = 44
"""Characters of a line in a hover text, so that it fits on a phone."""
_MOST_NAMED = 6
_COLORS = ("#3b82d6", "#dd8a1f", "#2a9d8f", "#b4609c", "#8273d6", "#d0504a", "#7c8a2e", "#7a828c")


def plots_data(report: Report) -> dict[str, Any]:
    """All plots that have something to draw, by name; what could not be drawn is said in their `notes`."""
    drawn = {"tradeoff": _tradeoff(report), "latency": _latencies(report), "pictures": _pictures(report)}
    return {name: data for name, data in drawn.items() if data}


def front_of(points: Sequence[tuple[str, float, float]], lower_is_better: bool) -> list[str]:
    """The names that no other beats in cost and quality, the cheapest first; of equal points, the first."""
    sign = 1 if lower_is_better else -1
    names: list[str] = []
    best = float("inf")
    for name, _, quality in sorted(points, key=lambda point: (point[1], sign * point[2])):
        if sign * quality < best:
            names.append(name)
            best = sign * quality
    return names


def _tradeoff(report: Report) -> dict[str, Any]:
    """Axes to choose from, every network's place on each, and the front of each pair of axes."""
    columns = {column.key: column for column in all_columns(report)}
    costs = [*latency_columns(report), *(columns[key] for key in _COST)]
    xs = [column for column in costs if _has_values(column, report)]
    ys = [columns[key] for key in _QUALITY if _has_values(columns[key], report)]
    if not xs or not ys:
        return {}
    shown = [*xs, *ys]
    points = [_point(variant, shown, report) for variant in _entries(report)]
    blurred = report.run.blurred_psnr_db
    return {
        "x": [_axis(column) for column in xs],
        "y": [_axis(column) for column in ys],
        "points": points,
        "fronts": {f"{x.key}|{y.key}": _front(points, x, y) for x in xs for y in ys},
        "blurred": None if blurred is None else {"psnr_db": blurred},
        "start": _first_pair(points, xs, ys),
    }


def _has_values(column: Column, report: Report) -> bool:
    """Whether any variant has a value there: the teacher alone is nothing to compare."""
    return any(_numbers(column, variant, report) for variant in report.variants)


def _first_pair(points: list[dict[str, Any]], xs: list[Column], ys: list[Column]) -> list[str]:
    """The first axes on which a variant can be drawn."""
    pairs = [[x.key, y.key] for x in xs for y in ys]
    drawable = (pair for pair in pairs if any(p["kind"] != "teacher" and p["at"].keys() >= {*pair} for p in points))
    return next(drawable, pairs[0])


def _axis(column: Column) -> dict[str, Any]:
    return {"key": column.key, "title": column.heading, "lower": column.direction == "lower"}


def _point(variant: Variant, columns: Iterable[Column], report: Report) -> dict[str, Any]:
    """A network's name, look and hover text, its value (with low and high) by axis, and why others lack."""
    at: dict[str, list[float]] = {}
    missing: dict[str, str] = {}
    hover = [f"<b>{_shown(variant.name)}</b>", *(_wrapped(step) for step in variant.chain)]
    for column in columns:
        numbers = _numbers(column, variant, report)
        cell = column.cell(variant, report)
        if numbers:
            at[column.key] = numbers
            more = f" {cell.more}" if cell.more else ""
            hover += [f"{_shown(column.title)} {_shown(f'{cell.text} {column.unit} {column.qualifier}{more}'.strip())}"]
        else:
            missing[column.key] = cell.missing or why_missing(variant, column.key)
    kind = "teacher" if variant is report.teacher else "sound" if holds(variant) else "failed"
    if variant is not report.teacher and kind == "failed":
        hover.append("a gate failed" if variant.status == "done" else "failed")
    if is_worse_than_blurred(variant, report.run.blurred_psnr_db):
        hover.append(WORSE_THAN_BLURRED)
    return {
        "name": variant.name,
        "kind": kind,
        "hover": "<br>".join(hover),
        "at": at,
        "missing": missing,
    }


def _numbers(column: Column, variant: Variant, report: Report) -> list[float]:
    """A value with its low and high end, or nothing; the teacher keeps all of the gain and loses nothing."""
    if variant is report.teacher and column.key in ("gain_kept", "psnr_loss_db"):
        whole = 1.0 if column.key == "gain_kept" else 0.0
        return [whole, whole, whole]
    raw = column.cell(variant, report).raw
    value, *ends = raw or (None,)
    if not isinstance(value, int | float):
        return []
    low, high = ends if len(ends) == 2 else (None, None)
    ci95 = variant.metrics[column.key].ci95 if column.key in METRICS and column.key in variant.metrics else None
    low, high = ci95 or (low, high)
    return [float(end) if isinstance(end, int | float) else float(value) for end in (value, low, high)]


def _front(points: list[dict[str, Any]], x: Column, y: Column) -> list[str]:
    """The front of the teacher and the variants that hold their gates, on these axes."""
    known = [
        (point["name"], point["at"][x.key][0], point["at"][y.key][0])
        for point in points
        if point["kind"] != "failed" and point["at"].keys() >= {x.key, y.key}
    ]
    return front_of(known, y.direction == "lower")


def _latencies(report: Report) -> dict[str, Any]:
    """A bar for each network, runtime and device; without any time, only the reasons."""
    rows = [(variant, row) for variant in _entries(report) for row in variant.latency]
    timed = any(row.median_ms is not None for _, row in rows)
    untold = [variant for variant in _entries(report) if not variant.latency]
    notes = _by_reason((variant.name, why_missing(variant, "latency")) for variant in untold)
    if not timed:
        notes += _by_reason((variant.name, row.missing or "not measured") for variant, row in rows)
        return {"bars": [], "notes": notes} if report.variants else {}
    places = dict.fromkeys(_place(row) for _, row in rows)
    series = [{"place": place, "color": _COLORS[i % len(_COLORS)]} for i, place in enumerate(places)]
    return {"series": series, "bars": [_bar(v, row) for v, row in rows], "notes": notes}


def _place(row: LatencyRow) -> str:
    return ", ".join(timed_at(row))


def _bar(variant: Variant, row: LatencyRow) -> dict[str, Any]:
    median = row.median_ms
    low, high = (median if end is None else end for end in (row.p10_ms, row.p90_ms))
    conditions = f"{row.threads} threads, batch {row.batch}, {row.size[0]}x{row.size[1]}"
    if median is None:
        label, said = (
            f"{DASH} not measured",
            _wrapped(f"not measured: {row.missing or why_missing(variant, 'latency')}"),
        )
    else:
        label = f"{latency_text(median)} {row.dtype}"
        said = "{} ms (p10 {}, p90 {})".format(*latency_texts([median, low or 0, high or 0]))
        said += "<br>" + _wrapped(f"noisy: {noise_text(row)}") if noise_text(row) else ""
    hover = [f"<b>{_shown(variant.name)}</b>", f"{_shown(_place(row))}, {_shown(row.dtype)}", said, conditions]
    return {
        "name": variant.name,
        "series": _place(row),
        "at": None if median is None else [median, low, high],
        "label": label,
        "hover": "<br>".join(hover),
    }


def _pictures(report: Report) -> dict[str, Any]:
    """The loss of each variant on each picture that the teacher restored, too."""
    teacher = {row.name: row.psnr_db for row in report.teacher.pictures}
    rows = []
    notes = [(variant.name, why_missing(variant, "pictures")) for variant in report.variants if not variant.pictures]
    for variant in report.variants:
        paired = [(row.name, teacher[row.name] - row.psnr_db) for row in variant.pictures if row.name in teacher]
        if variant.pictures and len(paired) < len(variant.pictures):
            left = len(variant.pictures) - len(paired)
            notes.append((variant.name, f"{left} of {len(variant.pictures)} pictures were not restored by the teacher"))
        if paired:
            hovers = [f"<b>{_shown(variant.name)}</b><br>{_wrapped(n)}<br>{loss:z.2f} dB lost" for n, loss in paired]
            losses = [round(loss, 4) for _, loss in paired]
            mean = sum(loss for _, loss in paired) / len(paired)
            rows.append({"name": variant.name, "losses": losses, "hovers": hovers, "mean": round(mean, 4)})
    return {"rows": rows, "notes": _by_reason(notes)} if rows else {}


def _entries(report: Report) -> list[Variant]:
    return [report.teacher, *report.variants]


def _by_reason(reasons: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each reason, after the names that it holds for."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons:
        if name not in names.setdefault(reason, []):
            names[reason].append(name)
    return [f"{some_of(given)}: {reason}" for reason, given in names.items()]


def some_of(names: Sequence[str]) -> str:
    """A list of names that stays short."""
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _shown(text: str) -> str:
    """Text as Plotly shows it literally: it knows a few tags and no quoted entities."""
    return html.escape(text, quote=False)


def _wrapped(text: str) -> str:
    return "<br>".join(_shown(line) for line in textwrap.wrap(text, _LONGEST_LINE, break_on_hyphens=False))
