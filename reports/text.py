"""The report's table as Markdown and as CSV."""

import csv
import io
import re

from reports.record import Report
from reports.table import DASH, Cell, Raw, Row, Table, gates_verdict, tabulate


def markdown(report: Report) -> str:
    """The report's table and notes in Markdown."""
    table = tabulate(report)
    run = report.run
    verdict = gates_verdict(report)
    gates = [*([verdict] if verdict else []), *table.gate_notes]
    blocks = [f"# {_escaped(run.name)}", _escaped(run.description), markdown_table(report)]
    for title, lines in (("Gates", gates), ("Conditions", [f"data: {run.data}", *run.conditions])):
        blocks += [f"## {title}\n\n" + "\n".join(f"- {_escaped(line)}" for line in lines)] if lines else []
    return "\n\n".join(block for block in blocks if block) + "\n"


def markdown_table(report: Report) -> str:
    """The table alone, in Markdown, its footnotes below."""
    table = tabulate(report)
    notes = [f"{number}. {_escaped(note)}" for number, note in enumerate(table.footnotes, 1)]
    return "\n\n".join([_markdown_table(table), *(["\n".join(notes)] if notes else [])])


def csv_text(report: Report) -> str:
    """The table's raw numbers as CSV; a missing one is an empty field, and the last column says why."""
    table = tabulate(report)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([header for column in table.columns for header in column.csv_headers] + ["missing"])
    for row in table.rows:
        fields: list[Raw] = []
        for column, cell in table.cells_of(row):
            fields += cell.raw or (None,) * len(column.csv_headers)
        writer.writerow([*fields, _missing_text(table, row)])
    return out.getvalue()


def _markdown_table(table: Table) -> str:
    lines = [[_escaped(column.heading) for column in table.columns]]
    lines += [[":--", *["--:"] * (len(table.columns) - 1)]]
    lines += [[_markdown_cell(table, cell) for cell in row.cells] for row in table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_cell(table: Table, cell: Cell) -> str:
    parts = [cell.text, f"({cell.change})" if cell.change else cell.more]
    number = table.footnote(cell)
    return _escaped(" ".join(parts)) + (f"<sup>{number}</sup>" if number else "")


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    one_line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|*`\[\]#])", r"\\\1", one_line)


def _missing_text(table: Table, row: Row) -> str:
    """All reasons of a row, each after the columns that it explains."""
    columns: dict[str, list[str]] = {}
    for column, cell in table.cells_of(row):
        if cell.missing and cell.text == DASH:
            columns.setdefault(cell.missing, []).append(column.key)
    return "; ".join(f"{', '.join(keys)}: {reason}" for reason, keys in columns.items())
