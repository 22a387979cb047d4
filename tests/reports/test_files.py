"""Files of several runtimes: which is scored, which is the smallest, and what they are compared with."""

import re
from pathlib import Path

import pytest
from rich.console import Console

from reports.files import files_of, scored_file, scoring_notes, smallest_file
from reports.merge import merge
from reports.page import html_page
from reports.record import Report, Variant
from reports.table import Cell, all_columns, standing_out, tabulate
from reports.terminal import terminal_table
from reports.text import csv_text, markdown_table
from tests.reports.records import set_metric, shipped, variant_of


@pytest.fixture
def edge() -> Report:
    return shipped("edge")


def rescored(variant: Variant, runtime: str) -> None:
    """Let another runtime's file be the one that was scored."""
    size = next(file.size_mb for file in files_of(variant) if file.runtime == runtime)
    for key in ("file_mb", "psnr_db"):
        told = re.sub(r"\w+(?= file)", runtime, variant.metrics[key].conditions, count=1)
        variant.metrics[key] = variant.metrics[key].model_copy(update={"conditions": told})
    set_metric(variant, "file_mb", size)


def file_cell(report: Report, variant: Variant) -> Cell:
    column = next(column for column in all_columns(report) if column.key == "file_mb")
    return column.cell(variant, report)


def heading(report: Report) -> str:
    return next(column.heading for column in all_columns(report) if column.key == "file_mb")


def test_all_files_are_known_and_the_scored_one_is_the_first(edge: Report) -> None:
    sizes = {file.runtime: file.size_mb for file in files_of(edge.teacher)}
    assert sizes == {"aoti": 4.160342, "onnxruntime": 4.008217, "openvino": 4.175656, "executorch": 3.85311}
    rescored(edge.teacher, "openvino")
    scored, smallest = scored_file(edge.teacher), smallest_file(edge.teacher)
    assert scored is not None
    assert smallest is not None
    assert (scored.runtime, smallest.runtime) == ("openvino", "executorch")


def test_one_runtime_is_named_in_the_heading(edge: Report) -> None:
    assert heading(edge) == "File MB (aoti)"
    assert file_cell(edge, edge.variants[0]).more == ""
    assert scoring_notes(edge) == []


def test_files_of_different_runtimes_are_named_and_compared_with_the_teachers_of_the_same(edge: Report) -> None:
    int8 = variant_of(edge, "edge-int8")
    rescored(int8, "openvino")
    assert heading(edge) == "File MB (runtime as named)"
    cell = file_cell(edge, int8)
    assert (cell.text, cell.change, cell.more) == ("0.59", "-85.9%", "openvino")  # 0.588547 of 4.175656
    assert cell.beside == "(-85.9%, openvino)"
    assert file_cell(edge, edge.teacher).beside == "aoti"
    assert ",0.588547,openvino," in csv_text(edge)
    for variant in edge.variants:
        variant.gates = []
    column = next(column for column in all_columns(edge) if column.key == "file_mb")
    assert standing_out(edge, column) == []
    rescored(int8, "aoti")
    column = next(column for column in all_columns(edge) if column.key == "file_mb")
    assert [variant.name for variant in standing_out(edge, column)] == ["edge-int8", "edge-int8-qat"]


def test_without_a_teachers_file_of_the_runtime_there_is_no_percentage(edge: Report) -> None:
    int8 = variant_of(edge, "edge-int8")
    rescored(int8, "openvino")
    edge.teacher.details = []
    assert file_cell(edge, int8).change == ""


def test_a_loss_across_runtimes_is_told_wherever_the_table_is(edge: Report, tmp_path: Path) -> None:
    for name in ("edge-int8", "edge-int8-qat"):
        rescored(variant_of(edge, name), "openvino")
    (note,) = tabulate(edge).notes
    assert note == (
        "Scored as the openvino file, but the teacher as the aoti file, so that the loss is not of the network alone: "
        "edge-int8, edge-int8-qat."
    )
    assert note in markdown_table(edge)
    assert note in html_page(edge, tmp_path)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(terminal_table(edge))
    assert note in capture.get()


def test_what_was_scored_in_memory_is_told(edge: Report) -> None:
    bare = variant_of(edge, "edge")
    bare.metrics["file_mb"] = bare.metrics["file_mb"].model_copy(update={"value": None, "missing": "no compiler"})
    how = "24 test pairs, scored in memory (eager), no file"
    bare.metrics["psnr_db"] = bare.metrics["psnr_db"].model_copy(update={"conditions": how})
    assert scoring_notes(edge)[0].startswith("Scored in memory, but the teacher as the aoti file, ")


def test_in_a_merged_report_a_file_is_compared_with_its_own_runs_teacher(edge: Report) -> None:
    demo = shipped("demo")
    merged = merge([("demo", demo), ("edge", edge)])
    own = variant_of(edge, "edge")
    alone = file_cell(edge, own).change
    assert alone == "-76.9%"  # 0.959574 of 4.160342; of the demo's 4.164406 it is -77.0%
    assert file_cell(merged, variant_of(merged, "edge")).change == alone
    assert file_cell(merged, variant_of(merged, "int8")).change == file_cell(demo, variant_of(demo, "int8")).change
    assert scoring_notes(merged) == []
    assert Report.model_validate_json(merged.model_dump_json()) == merged
