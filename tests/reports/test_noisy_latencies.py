"""A noisy latency is marked wherever a report shows it; records that do not say are shown as ever."""

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from reports.card_table import numbers
from reports.diff import difference
from reports.noise import noise_notes, noise_text
from reports.page import html_page
from reports.record import LatencyRow, Noise, NoiseReason, Report, Variant
from reports.table import latency_columns, tabulate
from reports.terminal import terminal_table
from reports.text import csv_text, markdown
from tests.reports.records import shipped

LOAD = NoiseReason(kind="other_load", value=0.476, limit=0.05)
APART = NoiseReason(kind="rounds_disagree", value=0.23, limit=0.1)


def made_noisy(variant: Variant, *reasons: NoiseReason, slower: float = 1.0) -> None:
    """Have all latencies of a variant taken beside other work."""
    variant.latency = [
        row.model_copy(
            update={"noise": Noise(noisy=True, reasons=list(reasons), takes=3)}
            | {key: slower * (getattr(row, key) or 0) for key in ("median_ms", "p10_ms", "p90_ms")}
        )
        for row in variant.latency
    ]


@pytest.fixture
def noisy() -> Report:
    report = shipped("demo").model_copy(deep=True)
    made_noisy(report.variants[0], LOAD, APART)
    return report


def test_the_reasons_are_told_with_what_a_calm_timing_shows(noisy: Report) -> None:
    assert noise_text(noisy.variants[0].latency[0]) == (
        "other programs took 48% of the processor time (calm: up to 5%), "
        "the medians of its turns lie 23% apart (calm: up to 10%)"
    )
    assert noise_text(noisy.teacher.latency[0]) == ""


def test_old_records_say_nothing_and_stay_readable() -> None:
    row = LatencyRow.model_validate(
        {"runtime": "aoti", "device": "cpu", "dtype": "fp32", "threads": 2, "batch": 1, "size": [8, 8], "median_ms": 3}
    )
    assert row.noise is None
    assert noise_text(row) == ""
    assert noise_notes(shipped("demo")) == []


def test_noisy_latencies_of_one_place_share_a_note(noisy: Report) -> None:
    made_noisy(noisy.variants[1], LOAD.model_copy(update={"value": 0.3}), APART)
    one, other = (variant.name for variant in noisy.variants[:2])
    assert [note for note in noise_notes(noisy) if "(aoti, cpu)" in note] == [
        f"Noisy latencies (aoti, cpu), also when taken again: {one}, {other}; other programs took 30% to 48% of the "
        "processor time (calm: up to 5%), the medians of its turns lie 23% apart (calm: up to 10%). The same command "
        "on an idle machine times them again."
    ]


def test_tables_mark_it_in_every_format(noisy: Report, tmp_path: Path) -> None:
    table, name = tabulate(noisy), noisy.variants[0].name
    (column, *_), row = latency_columns(noisy), next(row for row in table.rows if row.variant.name == name)
    marked = [cell for found, cell in table.cells_of(row) if found.key == column.key]
    assert [cell.more for cell in marked] == ["noisy"]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(terminal_table(noisy))
    for text in (console.export_text(), markdown(noisy), html_page(noisy, tmp_path)):
        assert ", noisy" in text
        assert "Noisy latencies (aoti, cpu)" in text
    lines = list(csv.DictReader(io.StringIO(csv_text(noisy))))
    assert [line["name"] for line in lines if line["latency_noise (aoti, cpu)"] == "noisy"] == [name]
    assert any("noisy: other programs took 48%" in line for line in numbers(noisy, noisy.variants[0]))
    assert "noise" not in csv_text(shipped("demo")).splitlines()[0]


def test_a_noisy_time_is_neither_better_nor_worse() -> None:
    old, new = shipped("demo"), shipped("demo")
    made_noisy(new.variants[0], LOAD, slower=2.0)
    changes = [
        c
        for c in difference(("old", old), ("new", new)).numbers
        if c.what.startswith("latency") and c.verdict != "same"
    ]
    assert changes
    assert {change.verdict for change in changes} == {"not comparable"}
    assert {change.reason.partition(":")[0] for change in changes} == {"the new time is noisy"}
