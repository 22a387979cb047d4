"""What each group of channels is worth, drawn: PSNR lost where it alone is pruned, at several shares removed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs
from rich import box
from rich.table import Table
from rich.text import Text

from reports.folding_text import FoldingText
from reports.markdown import stopped
from reports.pruning import Curves, by_reason, prune_entry
from reports.record import Report
from reports.sensitivity_figures import heat_map, lines, loss_text, percent
from reports.table import DASH
from reports.template import render


@dataclass(frozen=True)
class Drawn:
    """One set of curves in the report, and the variants that were pruned by it."""

    used_by: list[str]
    conditions: list[str]
    plots: Markup
    protected: dict[str, list[str]]


def sensitivity_html(curves: Mapping[str, Any], element_id: str) -> str:
    """Heat map and curves: an HTML fragment that needs plotly.js; empty without any group."""
    return _plots(Curves.model_validate(curves), element_id)


def sensitivity_page(curves: Mapping[str, Any], network: str, data: str) -> str:
    """The curves of a network as one HTML page that needs no network, with the conditions under which they hold."""
    drawn = _drawn(Curves.model_validate(curves), "sensitivity", [], f"of {data}")
    return render("sensitivity.html.j2", network=network, drawn=drawn, plotlyjs=Markup(get_plotlyjs()))


def sensitivity_table(curves: Mapping[str, Any]) -> Table:
    """The losses for a terminal, the most sensitive group first."""
    found = Curves.model_validate(curves)
    caption = ["dB of PSNR lost when that share of one group is removed, the others whole, without fine-tuning."]
    caption += [stopped("; ".join(_conditions(found)))]
    caption += [f"Protected, {reason}: {', '.join(names)}." for reason, names in by_reason(found.protected).items()]
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1),
        caption=Text("\n".join(caption), style="dim"),
        caption_justify="left",
    )
    table.add_column("Group")
    for ratio in found.ratios:
        table.add_column(percent(ratio), justify="right", no_wrap=True)
    for group in found.most_sensitive_first():
        losses = found.losses(group)
        table.add_row(FoldingText(group), *(loss_text(losses.get(ratio)) for ratio in found.ratios))
    return table


def drawn_once(report: Report) -> list[Drawn]:
    """Every distinct set of curves in a report, with the variants that used it."""
    users: dict[str, list[str]] = {}
    for variant in (report.teacher, *report.variants):
        for entry in map(prune_entry, variant.details):
            if entry is not None and entry.sensitivity is not None:
                users.setdefault(entry.sensitivity.model_dump_json(), []).append(variant.name)
    return [
        _drawn(Curves.model_validate_json(curves), f"sensitivity-{number}", list(dict.fromkeys(names)))
        for number, (curves, names) in enumerate(users.items(), 1)
    ]


def _drawn(curves: Curves, element_id: str, used_by: list[str], source: str = "") -> Drawn:
    plots = Markup(_plots(curves, element_id))
    return Drawn(used_by, _conditions(curves, source), plots, by_reason(curves.protected))


def _plots(curves: Curves, element_id: str) -> str:
    if not curves.groups:
        return ""
    figures = {f"{element_id}-map": heat_map(curves), f"{element_id}-curves": lines(curves)}
    config = {"displayModeBar": False, "responsive": True}
    plots = [
        figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=config)
        for name, figure in figures.items()
    ]
    return (
        '<div class="sensitivity">'
        + "".join(
            f'<div class="plot" tabindex="0" role="region" aria-label="Plot of sensitivity">{plot}</div>'
            for plot in plots
        )
        + "</div>"
    )


def _conditions(curves: Curves, source: str = "") -> list[str]:
    """What the numbers hold for."""
    crops = f"{curves.crops} training crops of {curves.crop}x{curves.crop} pixels {source}".strip()
    psnr = DASH if curves.psnr_db is None else f"{curves.psnr_db:.2f} dB"
    return [f"criterion {curves.criterion}", crops, f"unpruned PSNR on them {psnr}"]
