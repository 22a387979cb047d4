"""Drawing what groups of channels are worth: a heat map of all losses, and the loss against the share removed."""

import html
import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from reports.pruning import Curves
from reports.table import DASH

_INK, _GRID, _GREY = "#7a828c", "rgba(128,128,128,0.22)", "rgba(128,128,128,0.38)"
_MOST_COLORS, _LEAST_COLORS = ("#d0504a", "#dd8a1f", "#b4609c"), ("#3b82d6", "#2a9d8f", "#8273d6")

_LINEAR_DB = 0.05
"""Losses below are drawn on a straight scale, larger ones by their logarithm: they span from 0.01 to 20 dB."""

_LEAST_SPAN_DB = 0.1
"""A scale reaches at least so far, or noise would get the full colour."""

_TICKS_DB = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)

# Nothing lost is transparent, so that the page shows through, whether it is light or dark.
_COLORS = (
    (-1.0, (35, 110, 205, 0.7)),
    (-0.4, (60, 150, 220, 0.4)),
    (0.0, (150, 150, 150, 0.0)),
    (0.4, (232, 160, 50, 0.42)),
    (0.75, (218, 90, 55, 0.62)),
    (1.0, (178, 30, 66, 0.75)),
)

_ROW, _CURVES_HEIGHT, _TOP, _BOTTOM = 19, 440, 56, 64
"""Pixels: a row of the heat map, the curves' plotting area, and the margins of both."""


def heat_map(curves: Curves) -> go.Figure:
    """A row for each group, a column for each share removed, coloured by the loss."""
    groups, ratios = list(curves.groups), curves.ratios
    losses = [[curves.losses(group).get(ratio) for ratio in ratios] for group in groups]
    low, high = _span(curves)
    figure = go.Figure(
        go.Heatmap(
            x=list(range(len(ratios))),
            y=list(range(len(groups))),
            z=[[None if loss is None else _scaled(loss) for loss in row] for row in losses],
            text=[[loss_text(loss) for loss in row] for row in losses],
            texttemplate="%{text}",
            textfont={"size": 11},
            hovertext=[[_hover(curves, group, ratio) for ratio in ratios] for group in groups],
            hoverinfo="text",
            hoverongaps=False,
            xgap=1,
            ygap=1,
            zmin=low,
            zmax=high,
            colorscale=_color_scale(low, high),
            colorbar={
                "orientation": "h",
                "y": 0,
                "yanchor": "top",
                "thickness": 10,
                "outlinewidth": 0,
                "title": {"text": "dB lost", "side": "bottom"},
                **_ticks(low, high, 9),
            },
        )
    )
    _style(figure, "PSNR lost, by share of the group's channels removed", _ROW * len(groups))
    figure.update_xaxes(
        side="top", showgrid=False, tickvals=list(range(len(ratios))), ticktext=[percent(ratio) for ratio in ratios]
    )
    figure.update_yaxes(
        autorange="reversed",
        automargin=True,
        showgrid=False,
        tickvals=list(range(len(groups))),
        ticktext=[html.escape(_short(group)) for group in groups],
        tickfont={"size": 11},
    )
    return figure


def lines(curves: Curves) -> go.Figure:
    """The loss against the share removed, a line for each group; the extreme ones in colour, with their names."""
    ranked = curves.most_sensitive_first()
    few = (min(3, (len(ranked) + 1) // 2), min(3, len(ranked) // 2))
    colors = dict(zip(ranked[: few[0]], _MOST_COLORS, strict=False))
    colors |= dict(zip(ranked[len(ranked) - few[1] :], _LEAST_COLORS, strict=False))
    figure = go.Figure()
    for group in sorted(ranked, key=lambda group: group in colors):
        losses = {0.0: 0.0} | curves.losses(group)
        figure.add_trace(
            go.Scatter(
                x=list(losses),
                y=[_scaled(loss) for loss in losses.values()],
                mode="lines+markers",
                line={"color": colors.get(group, _GREY), "width": 2.4 if group in colors else 1.2},
                marker={"size": 6 if group in colors else 3},
                hovertext=[_hover(curves, group, ratio) for ratio in losses],
                hoverinfo="text",
                cliponaxis=False,
            )
        )
    low, high = _span(curves)
    low, high = low - 0.04 * (high - low), high + 0.04 * (high - low)
    ends = {group: _scaled([0.0, *curves.losses(group).values()][-1]) for group in colors}
    shifts = _apart({group: (end - low) / (high - low) * _CURVES_HEIGHT for group, end in ends.items()})
    for group, color in colors.items():
        figure.add_annotation(
            x=[0.0, *curves.losses(group)][-1],
            y=ends[group],
            yshift=shifts[group],
            xshift=7,
            xanchor="left",
            showarrow=False,
            text=html.escape(_short(group)),
            font={"color": color, "size": 12},
        )
    _style(figure, "The most and the least sensitive groups", _CURVES_HEIGHT)
    figure.update_layout(margin={"l": 56, "r": 165})
    figure.update_xaxes(
        title={"text": "share of the group's channels removed"},
        range=[0.0, max(curves.ratios, default=1.0)],
        tickformat=".0%",
        nticks=6,
        tickangle=0,
    )
    figure.update_yaxes(title={"text": "PSNR lost, dB"}, range=[low, high], **_ticks(low, high, 14))
    return figure


def percent(share: float) -> str:
    """A share as a heading has it."""
    return f"{100 * share:.4g}%"


def loss_text(loss_db: float | None) -> str:
    """A loss as a cell shows it."""
    if loss_db is None:
        return DASH
    text = f"{loss_db:.3f}"
    return "0.000" if text == "-0.000" else text


def _style(figure: go.Figure, title: str, height: int) -> None:
    """What both plots have in common."""
    figure.update_layout(
        template="none",
        title={"text": title, "font": {"size": 15}, "x": 0.02, "xanchor": "left"},
        font={"family": "system-ui, sans-serif", "size": 12, "color": _INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 40, "r": 12, "t": _TOP, "b": _BOTTOM},
        height=height + _TOP + _BOTTOM,
        showlegend=False,
        hovermode="closest",
    )
    figure.update_xaxes(gridcolor=_GRID, zeroline=False)
    figure.update_yaxes(gridcolor=_GRID, zeroline=False)


def _hover(curves: Curves, group: str, ratio: float) -> str:
    """The group's full name and all that is known of it at this share."""
    lines = [f"<b>{html.escape(group)}</b>", f"{percent(ratio)} removed"]
    for point in curves.groups[group]:
        if point.ratio == ratio:
            lines.append(f"{loss_text(point.psnr_loss_db)} dB lost")
            lines += [] if point.output_change is None else [f"output change {point.output_change:.3g}"]
    return "<br>".join(lines)


def _scaled(loss_db: float) -> float:
    """A loss's place on the scale: straight near zero, by its logarithm beyond."""
    return math.copysign(math.log10(1 + abs(loss_db) / _LINEAR_DB), loss_db)


def _span(curves: Curves) -> tuple[float, float]:
    """The scale's ends: zero is always on it."""
    places = [_scaled(loss) for group in curves.groups for loss in curves.losses(group).values()]
    return min([0.0, *places]), max([_scaled(_LEAST_SPAN_DB), *places])


def _ticks(low: float, high: float, most: int) -> dict[str, list[Any]]:
    """Round losses on the scale, from zero outwards, as far apart as `most` of them would be."""
    chosen = [0.0]
    for sign in (1, -1):
        last = 0.0
        for tick in _TICKS_DB:
            place = _scaled(sign * tick)
            if low <= place <= high and abs(place - last) >= (high - low) / most:
                chosen.append(sign * tick)
                last = place
    return {
        "tickvals": [_scaled(tick) for tick in sorted(chosen)],
        "ticktext": [f"{tick:g}" for tick in sorted(chosen)],
    }


def _color_scale(low: float, high: float) -> list[list[Any]]:
    """Colours between both ends, so that equal gains and losses are equally strong."""
    strongest = max(-low, high)
    steps = [low + (high - low) * step / 32 for step in range(33)]
    return [[step / 32, _color(place / strongest)] for step, place in enumerate(steps)]


def _color(strength: float) -> str:
    """The colour of a loss (or, below zero, of a gain) of -1..1 of the strongest."""
    (left, before), (right, after) = next(pair for pair in pairwise(_COLORS) if strength <= pair[1][0] + 1e-9)
    share = (strength - left) / (right - left)
    red, green, blue, opacity = (a + share * (b - a) for a, b in zip(before, after, strict=True))
    return f"rgba({red:.0f},{green:.0f},{blue:.0f},{opacity:.3f})"


def _apart(places: Mapping[str, float], least: float = 15.0) -> dict[str, float]:
    """How far to shift labels, in pixels, so that they do not cover each other."""
    order = sorted(places, key=places.__getitem__)
    moved: list[float] = []
    for name in order:
        moved.append(max(places[name], moved[-1] + least) if moved else max(places[name], least / 2))
    for i in reversed(range(len(moved))):
        ceiling = _CURVES_HEIGHT - least / 2 if i == len(moved) - 1 else moved[i + 1] - least
        moved[i] = min(moved[i], ceiling)
    return {name: round(place - places[name], 1) for name, place in zip(order, moved, strict=True)}


def _short(name: str) -> str:
    """A name that fits beside a plot; its begin and its end tell layers apart."""
    return name if len(name) <= 24 else f"{name[:9]}…{name[-14:]}"
