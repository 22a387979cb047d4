"""The report's drawings: quality against cost, and the curve of a training."""

import html
import math
from dataclasses import dataclass

import plotly.graph_objects as go

from reports.record import Report, Variant
from reports.table import Column, all_columns, compact, holds, latency_columns

PLOT_ID = "tradeoff"
"""The id of the plot's element, which the page's style refers to."""

_INK, _GRID, _BLUE, _ORANGE, _RED = "#7a828c", "rgba(128,128,128,0.22)", "#3b82d6", "#dd8a1f", "#d0504a"

_WIDTH, _HEIGHT = 620, 340
"""The narrowest plotting area in pixels, for which the labels are placed."""

_LABEL_PLACES = {
    "top center": (0, 1),
    "bottom center": (0, -1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top right": (1, 1),
    "bottom right": (1, -1),
    "top left": (-1, 1),
    "bottom left": (-1, -1),
}
"""Where a label may stand, best first, and the direction of that from its point."""

_MOST_COVERED = 0.15
"""The share of a label that may cover others; a point without a label still says its name on hover."""

Box = tuple[float, float, float, float]
"""Left, bottom, right, top in pixels."""


@dataclass(frozen=True)
class _Point:
    """One network in the plot: its cost with a spread, and its quality."""

    variant: Variant
    cost: float
    low: float
    high: float
    psnr_db: float


def tradeoff_html(report: Report) -> str:
    """PSNR against the first latency, or else MACs: an HTML fragment that needs plotly.js; empty without any point."""
    column = _cost_column(report)
    points = _points(report, column)
    if not points:
        return ""
    figure = go.Figure()
    x_range, y_range = _ranges(report, points)
    places = _label_places(points, x_range, y_range)
    for point, place in zip(points, places, strict=True):
        figure.add_trace(_trace(report, point, place, column))
    _add_blurred_line(figure, report)
    figure.update_layout(
        template="none",
        title={"text": html.escape(_title(column)), "font": {"size": 15}, "x": 0, "xref": "paper"},
        xaxis={"title": {"text": html.escape(column.heading)}, "range": x_range, "gridcolor": _GRID, "zeroline": False},
        yaxis={"title": {"text": "PSNR dB"}, "range": y_range, "gridcolor": _GRID, "zeroline": False},
        font={"family": "system-ui, sans-serif", "size": 13, "color": _INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 64, "r": 16, "t": 48, "b": 56},
        height=_HEIGHT + 104,
        showlegend=False,
        hovermode="closest",
    )
    config = {"displayModeBar": False, "responsive": True}
    return str(figure.to_html(full_html=False, include_plotlyjs=False, div_id=PLOT_ID, config=config))


def sparkline(values: list[float]) -> str:
    """A series of numbers as a small SVG line; empty for fewer than two finite ones."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    low, span = min(finite), max(finite) - min(finite) or 1.0
    step = 118 / (len(finite) - 1)
    points = " ".join(f"{1 + i * step:.1f},{23 - 22 * (value - low) / span:.1f}" for i, value in enumerate(finite))
    return (
        '<svg class="sparkline" viewBox="0 0 120 24" width="120" height="24" aria-hidden="true">'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )


def _cost_column(report: Report) -> Column:
    """The first latency column in which a variant has a value; without one, MACs."""
    for column in latency_columns(report):
        if any(column.cell(variant, report).raw for variant in report.variants):
            return column
    return next(column for column in all_columns(report) if column.key == "macs")


def _points(report: Report, column: Column) -> list[_Point]:
    points = []
    for variant in (report.teacher, *report.variants):
        psnr = variant.metrics.get("psnr_db")
        costs = [float(raw) for raw in column.cell(variant, report).raw if isinstance(raw, int | float)]
        if costs and psnr is not None and psnr.value is not None:
            low, high = costs[1:] if len(costs) == 3 else (costs[0], costs[0])
            points.append(_Point(variant, costs[0], low, high, psnr.value))
    return points


def _ranges(report: Report, points: list[_Point]) -> tuple[list[float], list[float]]:
    """The axes: cost from zero, quality around the points and the blurred input."""
    blurred = report.run.blurred_psnr_db
    quality = [point.psnr_db for point in points] + ([blurred] if blurred is not None else [])
    margin = 0.12 * (max(quality) - min(quality)) or 0.5
    return [0.0, 1.12 * max(point.high for point in points)], [min(quality) - margin, max(quality) + margin]


def _trace(report: Report, point: _Point, place: str | None, column: Column) -> go.Scatter:
    """One point with its label, spread and hover text."""
    is_teacher = point.variant is report.teacher
    sound = is_teacher or holds(point.variant)
    color = _ORANGE if is_teacher else _BLUE if sound else _RED
    symbol = "diamond" if is_teacher else "circle" if sound else "circle-open"
    marker = {"size": 13 if is_teacher else 10, "color": color, "symbol": symbol, "line": {"width": 2, "color": color}}
    return go.Scatter(
        x=[point.cost],
        y=[point.psnr_db],
        mode="markers+text",
        text=[html.escape(_label(point.variant)) if place else ""],
        textposition=place or "top center",
        marker=marker,
        error_x={
            "type": "data",
            "array": [point.high - point.cost],
            "arrayminus": [point.cost - point.low],
            "thickness": 1.2,
            "width": 3,
            "color": color,
        },
        hovertext=[_hover(point, column)],
        hoverinfo="text",
        cliponaxis=False,
    )


def _hover(point: _Point, column: Column) -> str:
    """Name, chain, both axes, parameters and the gain kept, a line each."""
    metrics = point.variant.metrics
    lines = [f"<b>{html.escape(point.variant.name)}</b>"]
    lines += [html.escape(step) for step in point.variant.chain]
    if column.key == "macs":
        lines.append(f"{compact(point.cost)} MACs")
    else:
        lines.append(f"{point.cost:.2f} ms (p10 {point.low:.2f}, p90 {point.high:.2f})")
    lines.append(f"{point.psnr_db:.2f} dB")
    params, gain = metrics.get("params"), metrics.get("gain_kept")
    lines += [f"{compact(params.value)} params"] if params is not None and params.value is not None else []
    lines += [f"gain kept {gain.value:.3f}"] if gain is not None and gain.value is not None else []
    return "<br>".join(lines)


def _title(column: Column) -> str:
    if column.key == "macs":
        return "Quality against MACs (no variant has a latency)"
    return f"Quality against latency {column.qualifier}; bars from p10 to p90"


def _add_blurred_line(figure: go.Figure, report: Report) -> None:
    """The quality without any restoring, as a dashed line."""
    blurred = report.run.blurred_psnr_db
    if blurred is None:
        return
    text = f"blurred input {blurred:.2f} dB"
    figure.add_hline(
        y=blurred,
        line={"dash": "dash", "width": 1.2, "color": _INK},
        annotation={"text": text, "font": {"size": 12, "color": _INK}},
        annotation_position="top right",
    )


def _label(variant: Variant) -> str:
    return variant.name if len(variant.name) <= 24 else variant.name[:23] + "…"


def _label_places(points: list[_Point], x_range: list[float], y_range: list[float]) -> list[str | None]:
    """A place for each point's label, one after the other where it covers least; none where it could not be read."""
    x_scale, y_scale = _WIDTH / (x_range[1] - x_range[0]), _HEIGHT / (y_range[1] - y_range[0])
    at = [((point.cost - x_range[0]) * x_scale, (point.psnr_db - y_range[0]) * y_scale) for point in points]
    taken: list[Box] = [(x - 7, y - 7, x + 7, y + 7) for x, y in at]
    taken += [
        ((point.low - x_range[0]) * x_scale, y - 3, (point.high - x_range[0]) * x_scale, y + 3)
        for point, (_, y) in zip(points, at, strict=True)
    ]
    places: list[str | None] = []
    for point, (x, y) in zip(points, at, strict=True):
        boxes = {place: _label_box(x, y, 7.0 * len(_label(point.variant)), place) for place in _LABEL_PLACES}
        covered = {place: sum(_overlap(box, other) for other in taken) + _outside(box) for place, box in boxes.items()}
        best = min(_LABEL_PLACES, key=covered.__getitem__)
        readable = covered[best] <= _MOST_COVERED * _area(boxes[best])
        places.append(best if readable else None)
        taken += [boxes[best]] if readable else []
    return places


def _label_box(x: float, y: float, width: float, place: str) -> Box:
    """The pixels that a label covers at one of the places around a point."""
    right, up = _LABEL_PLACES[place]
    center_x, center_y = x + right * (width / 2 + 8), y + up * 16
    return center_x - width / 2, center_y - 8, center_x + width / 2, center_y + 8


def _overlap(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _outside(box: Box) -> float:
    """The area of a box that lies outside the plot."""
    return _area(box) - _overlap(box, (0, 0, _WIDTH, _HEIGHT))


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
