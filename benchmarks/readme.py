"""Put the table of a committed report into the README, between its markers: python benchmarks/readme.py."""

from pathlib import Path

from reports.record import Report
from reports.text import markdown_table
from reports.write import read_report

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "benchmarks" / "results" / "demo"
START, END = "<!-- table: benchmarks/results/demo/report.json, by benchmarks/readme.py -->", "<!-- end of table -->"


def with_table(readme: str, report: Report) -> str:
    """The README with the report's table between its markers."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    environment = report.run.environment
    where = f"*{environment['cpu']}, {environment['threads']} threads; torch {environment['torch']}. "
    return f"{before}{START}\n{markdown_table(report)}\n\n{where}{' '.join(report.run.conditions[:1])}*\n{END}{after}"


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(with_table(path.read_text(), read_report(RECORD)))
