"""Writing a report into a run's folder in all its formats, and reading it back."""

import os
from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError

from baseline.errors import UserError
from reports.latex import latex_table
from reports.page import html_page
from reports.record import Report
from reports.text import csv_text, markdown


def write_report(report: Report, folder: Path, pictured: Collection[str] = ()) -> list[Path]:
    """Write a report in all formats, each file whole or not at all; the pictures are those in `folder/pictures`.

    Of many variants, the page shows the pictures of the front and of those that `pictured` names.
    """
    texts = {
        "report.json": report.model_dump_json(indent=1) + "\n",
        "report.md": markdown(report),
        "report.csv": csv_text(report),
        "report.tex": latex_table(report),
        "report.html": html_page(report, folder / "pictures", pictured),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_whole(folder / name, text)
    return [folder / name for name in texts]


def read_report(folder: Path) -> Report:
    """The report that a run left in its folder; a UserError if there is none or it is not valid."""
    path = folder / "report.json"
    advice = f"Type: lightsharp run {folder.name}"
    if not path.is_file():
        raise UserError(f"{folder} must be a run's folder with report.json; there is none. {advice}")
    try:
        return Report.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path} must be a valid report; {where}: {first['msg']}. {advice}") from error


def write_whole(path: Path, text: str) -> None:
    """Write beside, then rename, so that no reader ever sees half a file."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="\n") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)
