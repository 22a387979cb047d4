"""The report's table in LaTeX, for a paper: booktabs is all that it needs."""

import re

from reports.grid import Grid, Line
from reports.record import Report
from reports.table import Cell, Column, Table, standing_out, tabulate

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
    return latex_grid(report).text


def latex_grid(report: Report) -> Grid:
    """The table in LaTeX, its kinds of columns as a line of cells, too."""
    table = tabulate(report)
    best = {(id(variant), column.key) for column in table.columns for variant in standing_out(report, column)}
    opening = [
        r"% Needs \usepackage{booktabs}. A wide one: leave columns out, or set it sideways.",
        r"\begin{table}",
        r"\centering\scriptsize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{latex(f'{report.run.name}: {report.run.description}')}}}",
        r"\begin{tabular}{",
    ]
    rules = ["l", *"r" * (len(table.columns) - 1)]
    titles = [f"{latex(column.title)}{_ARROWS[column.direction]}" for column in table.columns]
    units = [latex(f"{column.unit} {column.qualifier}") for column in table.columns]
    head = [Line(rules, "", "\n".join(opening), "}\n\\toprule\n"), _line(titles), _line(units, "\\midrule\n")]
    rows = []
    for row in table.rows:
        cells = [
            _cell(table, column, cell, (id(row.variant), column.key) in best) for column, cell in table.cells_of(row)
        ]
        rows.append([_line(cells, "\\midrule\n" if row.kind == "teacher" else "")])
    tail = [r"\bottomrule", r"\end{tabular}", *_notes(table), r"\end{table}"]
    return Grid(head, rows, "\n".join(tail) + "\n")


def latex(text: str) -> str:
    """Text that LaTeX prints as it is, on one line."""
    one_line = " ".join(text.split())
    escaped = "".join(_ESCAPES.get(letter, letter) for letter in _TWINS.sub(r"\1\0", one_line))
    return escaped.replace("\0", "{}")


def _line(cells: list[str], rule: str = "") -> Line:
    """A line of the table, and the rule below it."""
    return Line(cells, " & ", end=" \\\\\n" + rule)


def _cell(table: Table, column: Column, cell: Cell, bold: bool) -> str:
    show = latex if column.key == "name" else _number
    text = rf"\textbf{{{show(cell.text)}}}" if bold else show(cell.text)
    number = table.footnote(cell)
    mark = rf"\textsuperscript{{{number}}}" if number else ""
    return f"{text} {show(cell.beside)}".strip() + mark


def _number(text: str) -> str:
    """Text with the minus of a number drawn as one."""
    return re.sub(r"-(?=\d)", "$-$", latex(text))


def _notes(table: Table) -> list[str]:
    """The reasons of the dashes and the notes, under the table."""
    notes = [rf"\textsuperscript{{{number}}}~{latex(note)}\par" for number, note in enumerate(table.footnotes, 1)]
    notes += [rf"{latex(note)}\par" for note in table.notes]
    return [r"\begin{flushleft}", *notes, r"\end{flushleft}"] if notes else []
