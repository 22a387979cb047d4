"""The report's table in LaTeX, for a paper: booktabs is all that it needs."""

import re

from reports.record import Report
from reports.table import Cell, Column, Row, Table, standing_out, tabulate

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    # After \\ these two would be read as its arguments.
    "[": "{[}",
    "*": "{*}",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{BALLOT X}": r"$\times$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{MINUS SIGN}": "$-$",
    "\N{RIGHTWARDS ARROW}": r"$\to$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
}
_TWINS = re.compile(r"([-,'])(?=\1)")
"""Two of these in a row would be drawn as one other sign."""
_ARROWS = {"lower": r" $\downarrow$", "higher": r" $\uparrow$", "none": ""}


def latex_table(report: Report) -> str:
    """The table with its footnotes below; the best that holds its gates is bold."""
    table = tabulate(report)
    best = {(id(variant), column.key) for column in table.columns for variant in standing_out(report, column)}
    titles = [f"{latex(column.title)}{_ARROWS[column.direction]}" for column in table.columns]
    units = [latex(f"{column.unit} {column.qualifier}") for column in table.columns]
    lines = [
        r"% Needs \usepackage{booktabs}. A wide one: leave columns out, or set it sideways.",
        r"\begin{table}",
        r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{latex(f'{report.run.name}: {report.run.description}')}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
        r"\toprule",
        _line(titles),
        _line(units),
        r"\midrule",
    ]
    for row in table.rows:
        bold = {column.key for column in table.columns if (id(row.variant), column.key) in best}
        lines += _row(table, row, bold)
    lines += [r"\bottomrule", r"\end{tabular}", *_notes(table), r"\end{table}"]
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    """Text that LaTeX prints as it is, on one line."""
    one_line = " ".join(text.split())
    escaped = "".join(_ESCAPES.get(letter, letter) for letter in _TWINS.sub(r"\1\0", one_line))
    return escaped.replace("\0", "{}")


def _row(table: Table, row: Row, bold: set[str]) -> list[str]:
    """The lines of one row; the teacher's ends with a rule."""
    cells = [_cell(table, column, cell, column.key in bold) for column, cell in table.cells_of(row)]
    return [_line(cells), *([r"\midrule"] if row.kind == "teacher" else [])]


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(table: Table, column: Column, cell: Cell, bold: bool) -> str:
    show = latex if column.key == "name" else _number
    text = rf"\textbf{{{show(cell.text)}}}" if bold else show(cell.text)
    second = f"({cell.change})" if cell.change else cell.more
    number = table.footnote(cell)
    mark = rf"\textsuperscript{{{number}}}" if number else ""
    return f"{text} {show(second)}".strip() + mark


def _number(text: str) -> str:
    """Text with the minus of a number drawn as one."""
    return re.sub(r"-(?=\d)", "$-$", latex(text))


def _notes(table: Table) -> list[str]:
    """The reasons of the dashes, under the table."""
    notes = [rf"\textsuperscript{{{number}}}~{latex(note)}\par" for number, note in enumerate(table.footnotes, 1)]
    return [r"\begin{flushleft}", *notes, r"\end{flushleft}"] if notes else []
