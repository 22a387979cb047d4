"""The credits of the shipped photographs, written from their table: python -m baseline.data.credits > CREDITS.md."""

import csv
import sys

from baseline.data.photos import FOLDER


def credits_text() -> str:
    """A Markdown page with author, licence and source of every photograph."""
    with (FOLDER / "photos.csv").open(newline="") as table:
        rows = sorted(csv.DictReader(table), key=lambda row: (row["split"], row["file"]))
    lines = [
        "# Credits",
        "",
        f"The {len(rows)} photographs in `photos/` are public domain or CC0; their table is `photos/photos.csv`.",
        "",
        "| photograph | split | author | licence | source |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (row["file"], row["split"], row["author"], row["licence"], row["source"])
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(credits_text())
