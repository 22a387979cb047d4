"""Writing a report into a run's folder in all its formats, and reading it back."""

import shlex
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import ValidationError

from baseline.atomic import write_whole
from baseline.errors import UserError
from reports.latex import latex_table
from reports.page import html_page
from reports.record import Report
from reports.text import csv_text, markdown

RESERVED = ("teacher", "blurred", "sharp")
"""What the pictures of no variant are called."""


def write_report(report: Report, folder: Path, pictured: Collection[str] = ()) -> list[Path]:
    """Write a report's record and its views, each whole or not at all; the pictures are those in `folder/pictures`.

    Of many variants, the page shows the pictures of the front and of those that `pictured` names.
    """
    record = {"report.json": report.model_dump_json(indent=1) + "\n"}
    return [*_write(record, folder), *write_views(report, folder, pictured)]


def write_views(report: Report, folder: Path, pictured: Collection[str] = ()) -> list[Path]:
    """Write what people read of a report; its record, report.json, stays as it is."""
    views = {
        "report.md": markdown(report),
        "report.csv": csv_text(report),
        "report.tex": latex_table(report),
        "report.html": html_page(report, folder / "pictures", pictured),
    }
    return _write(views, folder)


def _write(texts: Mapping[str, str], folder: Path) -> list[Path]:
    for name, text in texts.items():
        write_whole(folder / name, text)
    return [folder / name for name in texts]


def read_report(folder: Path) -> Report:
    """The report that a run left in its folder; a UserError if there is none or it is not valid."""
    path = folder / "report.json"
    advice = _advice(folder)
    if not path.is_file():
        raise UserError(f"{folder} must be a run's folder with report.json; there is none. {advice}")
    try:
        report = Report.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path} must be a valid report; {where}: {first['msg']}. {advice}") from error
    fault = _name_fault(report)
    if fault:
        raise UserError(f"{path} must give every variant a name of its own; {fault}. {advice}")
    return report


def _advice(folder: Path) -> str:
    """What makes a report again: the recipe that the run's folder keeps."""
    recipe = folder / "recipe.yaml"
    if not recipe.is_file():
        return "There is no recipe.yaml beside it, so take the file from where the folder came from."
    return f"Type: {shlex.join(['lightsharp', 'run', str(recipe), '--out', str(folder)])}"


def _name_fault(report: Report) -> str:
    """What is wrong with the names by which rows and pictures are told apart; nothing if they can be."""
    names = [variant.name for variant in report.variants]
    if not all(name.strip() for name in (report.teacher.name, *names)):
        return "one has none"
    reserved = next((name for name in names if name in (*RESERVED, report.teacher.name)), None)
    if reserved is not None:
        return f"'{reserved}' is taken: {', '.join(sorted({*RESERVED, report.teacher.name}))} are the program's"
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    return f"'{twice}' is that of several" if twice is not None else ""
