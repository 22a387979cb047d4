"""The report's table as Markdown and as CSV."""

import csv
import io
from collections.abc import Iterable

from reports.article import article_markdown
from reports.grid import Grid, Line
from reports.markdown import escaped
from reports.record import Report
from reports.table import DASH, Cell, Raw, Row, Table, gates_verdict, tabulate

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet takes for a formula."""


def markdown(report: Report) -> str:
    """The report's table and notes in Markdown."""
    table = tabulate(report)
    run = report.run
    verdict = gates_verdict(report)
    gates = [*([verdict] if verdict else []), *table.gate_notes]
    blocks = [f"# {escaped(run.name)}", escaped(run.description), markdown_table(report), article_markdown(report)]
    for title, lines in (("Gates", gates), ("Conditions", [f"data: {run.data}", *run.conditions])):
        blocks += [f"## {title}\n\n" + "\n".join(f"- {escaped(line)}" for line in lines)] if lines else []
    return "\n\n".join(block for block in blocks if block) + "\n"


def markdown_table(report: Report) -> str:
    """The table alone, in Markdown, its footnotes and notes below."""
    return markdown_grid(report).text


def markdown_grid(report: Report) -> Grid:
    """The table in Markdown, its footnotes and notes as the tail."""
    table = tabulate(report)
    lines = [[escaped(column.heading) for column in table.columns]]
    lines += [[":--", *["--:"] * (len(table.columns) - 1)]]
    lines += [[_markdown_cell(table, cell) for cell in row.cells] for row in table.rows]
    drawn = [Line(cells, " | ", "| ", " |\n") for cells in lines]
    notes = "\n".join(f"{number}. {escaped(note)}" for number, note in enumerate(table.footnotes, 1))
    said = "\n".join(f"- {escaped(note)}" for note in table.notes)
    return Grid(drawn[:2], [[line] for line in drawn[2:]], "".join(f"\n{block}\n" for block in (notes, said) if block))


def csv_text(report: Report) -> str:
    """The table's raw numbers as CSV; a missing one is an empty field, and the last column says why."""
    return csv_grid(report).text


def csv_grid(report: Report) -> Grid:
    """The table as CSV, the fields of a column together; the reasons for missing numbers end each line."""
    table = tabulate(report)
    headers = [_fields(column.csv_headers) for column in table.columns]
    rows = [
        Line(
            [_fields(cell.raw or (None,) * len(column.csv_headers)) for column, cell in table.cells_of(row)],
            ",",
            end=f",{_fields([_missing_text(table, row)])}\n",
        )
        for row in table.rows
    ]
    return Grid([Line(headers, ",", end=",missing\n")], [[row] for row in rows])


def _fields(values: Iterable[Raw]) -> str:
    """Fields of CSV; a text that a spreadsheet would run as a formula stands after an apostrophe."""
    out = io.StringIO()
    safe = [f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value for value in values]
    csv.writer(out, lineterminator="").writerow([*safe, None])  # an empty field that stands alone would be quoted
    return out.getvalue().removesuffix(",")


def _markdown_cell(table: Table, cell: Cell) -> str:
    number = table.footnote(cell)
    return escaped(f"{cell.text} {cell.beside}") + (f"<sup>{number}</sup>" if number else "")


def _missing_text(table: Table, row: Row) -> str:
    """All reasons of a row, each after the columns that it explains."""
    columns: dict[str, list[str]] = {}
    for column, cell in table.cells_of(row):
        if cell.missing and cell.text == DASH:
            columns.setdefault(cell.missing, []).append(column.key)
    return "; ".join(f"{', '.join(keys)}: {reason}" for reason, keys in columns.items())
