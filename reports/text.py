"""The report's table as Markdown and as CSV."""

import csv
import io

from reports.article import article_markdown
from reports.markdown import escaped
from reports.record import Report
from reports.table import DASH, Cell, Raw, Row, Table, gates_verdict, tabulate


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
    """The table alone, in Markdown, its footnotes below."""
    table = tabulate(report)
    notes = [f"{number}. {escaped(note)}" for number, note in enumerate(table.footnotes, 1)]
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
    lines = [[escaped(column.heading) for column in table.columns]]
    lines += [[":--", *["--:"] * (len(table.columns) - 1)]]
    lines += [[_markdown_cell(table, cell) for cell in row.cells] for row in table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _markdown_cell(table: Table, cell: Cell) -> str:
    parts = [cell.text, f"({cell.change})" if cell.change else cell.more]
    number = table.footnote(cell)
    return escaped(" ".join(parts)) + (f"<sup>{number}</sup>" if number else "")


def _missing_text(table: Table, row: Row) -> str:
    """All reasons of a row, each after the columns that it explains."""
    columns: dict[str, list[str]] = {}
    for column, cell in table.cells_of(row):
        if cell.missing and cell.text == DASH:
            columns.setdefault(cell.missing, []).append(column.key)
    return "; ".join(f"{', '.join(keys)}: {reason}" for reason, keys in columns.items())
