"""The report as one HTML page that needs no network: summary, table, plot, pictures and each variant's details."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from baseline.measurement import Direction
from reports.article import RULE, article_rows, loss_words, other_text
from reports.conditions import facts
from reports.files import scored_file, scored_runtimes
from reports.front import fastest_columns, front, front_columns, front_gaps, smallest_column
from reports.latex import latex_grid
from reports.layers import layers_of
from reports.pictures import PAGE_BYTES, gallery
from reports.plots import plots_data
from reports.record import Report, Variant
from reports.sensitivity import drawn_once
from reports.table import (
    WORSE_THAN_BLURRED,
    Cell,
    Column,
    all_columns,
    best_variants,
    eligible,
    gates_verdict,
    holds,
    is_worse_than_blurred,
    standing_out,
    tabulate,
)
from reports.template import render
from reports.text import csv_grid, markdown_grid

NO_BREAK = "\N{NO-BREAK SPACE}"
_GRIDS = {"Markdown": markdown_grid, "CSV": csv_grid, "LaTeX": latex_grid}
"""What the table can be copied as."""


@dataclass(frozen=True)
class Card:
    """One best variant of the summary."""

    title: str
    name: str
    value: str
    change: str
    quality: str
    among: str = ""


def html_page(report: Report, pictures_folder: Path, pictured: Collection[str] = ()) -> str:
    """The page of a report, with the pictures `pictures_folder/PICTURE/COLUMN.webp` as far as there is room.

    Where only some variants' pictures are kept, those of the variants that `pictured` names are among them.
    """
    values = _values(report)
    bare = render("report.html.j2", **values, gallery=gallery(report, pictures_folder, 0, pictured))
    if not report.run.sample_pictures:
        return bare
    room = PAGE_BYTES - len(bare.encode())
    return render("report.html.j2", **values, gallery=gallery(report, pictures_folder, room, pictured))


def _values(report: Report) -> dict[str, Any]:
    """All that the page shows but for the pictures."""
    table = tabulate(report)
    plots, sensitivities = plots_data(report), drawn_once(report)
    best = {(id(variant), column.key) for column in table.columns for variant in standing_out(report, column)}
    return {
        "run": report.run,
        "entries": [report.teacher, *report.variants],
        "table": table,
        "file_runtimes": ", ".join(sorted(scored_runtimes(report) - {""})),
        "is_best": lambda row, column: (id(row.variant), column.key) in best,
        "tone": _tone,
        "arrow": {"lower": "↓", "higher": "↑", "none": ""},
        "cards": _cards(report),
        "sentences": summary(report),
        "row_of": {row.variant.name: place for place, row in enumerate(table.rows, 1)},
        "front": _front_values(report),
        "worse": [v.name for v in report.variants if is_worse_than_blurred(v, report.run.blurred_psnr_db)],
        "worse_words": WORSE_THAN_BLURRED,
        "front_axes": ", ".join(f"{column.title} {column.qualifier}".strip() for column in front_columns(report)),
        "front_gaps": front_gaps(report),
        "gated": _is_gated(report),
        "grids": {name: asdict(grid(report)) for name, grid in _GRIDS.items()},
        "conditions": facts(report),
        "plots": plots,
        "article": article_rows(report),
        "article_rule": RULE,
        "other_text": other_text,
        "article_words": loss_words(),
        "layers": layers_of(report),
        "sensitivities": sensitivities,
        "plotlyjs": Markup(get_plotlyjs()) if plots or sensitivities else "",
    }


def summary(report: Report) -> list[str]:
    """What the run found, in plain sentences: what there was to win, and who holds the gates."""
    sentences = []
    blurred, teacher = report.run.blurred_psnr_db, report.teacher.metrics.get("psnr_db")
    if blurred is not None and teacher is not None and teacher.value is not None:
        gain = teacher.value - blurred
        sentences.append(
            f"The teacher lifts the blurred pictures from {blurred:.2f} to {teacher.value:.2f} dB, "
            f"a gain of {gain:.2f} dB. "
            "“Gain kept” is the share of it that a variant keeps."
        )
    verdict = gates_verdict(report)
    if verdict is not None:
        sentences.append(verdict)
    worse = [variant.name for variant in report.variants if is_worse_than_blurred(variant, blurred)]
    if worse:
        sentences.append(f"Worse than leaving the pictures as they are: {', '.join(worse)}.")
    broken = [variant.name for variant in report.variants if variant.error]
    if broken:
        sentences.append(f"Not made, because of an error: {', '.join(broken)}.")
    return sentences


def _cards(report: Report) -> list[Card]:
    """The best variants by size, cost, speed and loss, among those that are eligible."""
    among = _among(report)
    of_key = {column.key: column for column in all_columns(report)}
    fastest = fastest_columns(report)
    titled = [("Smallest file", smallest_column()), ("Fewest MACs", of_key["macs"])]
    titled += [(f"Fastest {column.qualifier}", column) for column in fastest]
    titled += [("Least loss", of_key["psnr_loss_db"])]
    cards = []
    for title, column in titled:
        for variant in best_variants(report, column)[:1]:
            cell = column.cell(variant, report)
            runtime = cell.more if title == "Smallest file" or column in fastest else ""
            value = f"{cell.text} {column.unit}".strip()
            cards.append(Card(title, variant.name, value, cell.change, _quality(variant, runtime, report), among))
    return cards


def _among(report: Report) -> str:
    """Among which variants the best are looked for, if not among all."""
    gated, barred = _is_gated(report), len(eligible(report)) < sum(map(holds, report.variants))
    said = [*(["failed no gate"] if gated else []), *(["are not worse than the blurred input"] if barred else [])]
    return f"among those that {' and '.join(said)}" if said else ""


def _front_values(report: Report) -> dict[str, str]:
    """The variants of the front, each with its values of what counts there."""
    variants, names = {variant.name: variant for variant in report.variants}, front(report)
    columns = front_columns(report)

    def values(variant: Variant) -> str:
        cells = [(column, column.cell(variant, report)) for column in columns]
        return " · ".join(_said(*pair) for pair in cells if pair[1].raw)

    return {name: values(variants[name]) for name in names}


def _said(column: Column, cell: Cell) -> str:
    """A value with its name and unit and, of a latency, its runtime; on one line."""
    where = f"on {cell.more}" if cell.more else ""
    return " ".join(f"{column.title} {cell.text} {column.unit} {where}".split()).replace(" ", NO_BREAK)


def _is_gated(report: Report) -> bool:
    """Whether any gate was set."""
    return any(variant.gates for variant in report.variants)


def _quality(variant: Variant, runtime: str, report: Report) -> str:
    """What a variant costs in quality, in a few words; of a runtime's file, also whether that one was scored."""
    of_key = {column.key: column for column in all_columns(report)}
    gain, loss = (of_key[key].cell(variant, report).text for key in ("gain_kept", "psnr_loss_db"))
    scored = scored_file(variant)
    where = f" (scored on {scored.runtime})" if runtime and scored and scored.runtime not in ("", runtime) else ""
    worse = f", {WORSE_THAN_BLURRED}" if is_worse_than_blurred(variant, report.run.blurred_psnr_db) else ""
    return f"{f'on {runtime}, ' if runtime else ''}gain kept {gain}, loss {loss} dB{where}{worse}"


def _tone(cell: Cell, direction: Direction) -> str:
    """Whether a change is to the better: `good`, `bad`, or nothing."""
    if direction == "none" or not cell.change or cell.change[0] not in "+-":
        return ""
    return "good" if (cell.change[0] == "-") == (direction == "lower") else "bad"
