import re
from pathlib import Path
from typing import Any

from reports.layers import layers_of
from reports.page import html_page
from reports.record import Report
from tests.reports.conftest import NO_VNNI


def widths(**after: int) -> dict[str, Any]:
    return {"widths": [{"name": name, "before": 64, "asked": 1.0, "after": left} for name, left in after.items()]}


def export(runtime: str, **built_for: str) -> dict[str, Any]:
    agreement = [{"size": [8, 8], "psnr_db": 61.5, "largest_difference": 0.1}]
    agreement += [{"size": [9, 9], "psnr_db": 55.25, "largest_difference": 0.1}]
    return {"stage": f"export: {runtime}", "built_for": built_for, "agreement": agreement, "megabytes": 0.5801}


def against_float(detail: dict[str, Any], *psnr_db: float) -> dict[str, Any]:
    return detail | {"float_agreement": [{"size": [8, 8], "psnr_db": db} for db in psnr_db]}


def test_widths_of_variants_stand_side_by_side_and_equal_ones_share_a_column(report: Report) -> None:
    report.variants[0].details = [widths(head=48, tail=64)]
    report.variants[1].details = [widths(head=32)]
    report.variants[6].details = [widths(head=32)]
    found = layers_of(report).widths
    assert found
    assert found.columns == ["pruned-30", "pruned-50, pruned-50-int8"]
    cells = {name: (before, [(cell.text, cell.removed) for cell in row]) for name, before, row in found.rows}
    assert cells == {"head": (64, [("48", 0.25), ("32", 0.5)]), "tail": (64, [("64", 0.0), ("\N{EN DASH}", None)])}


def test_rounds_of_pruning_count_from_the_first_width_to_the_last(report: Report) -> None:
    report.variants[0].details = [
        widths(head=48),
        {"curve": []},
        {"widths": [{"name": "head", "before": 48, "after": 16}]},
    ]
    found = layers_of(report).widths
    assert found
    assert [(name, before, row[0].text, row[0].removed) for name, before, row in found.rows] == [
        ("head", 64, "16", 0.75)
    ]


def test_layers_in_float_have_their_reason(report: Report) -> None:
    detail = {"scheme": "int8", "quantized": ["a", "b", "c"], "in_float": {"up.0": "no kernel", "up.1": "no kernel"}}
    report.variants[4].details = report.variants[5].details = [detail]
    report.variants[3].details = [{"scheme": "fp16"}]
    half, int8 = layers_of(report).precisions
    assert (int8.variants, int8.quantized, int8.in_float) == (
        "int8, pruned-30-int8",
        "3",
        {"no kernel": ["up.0", "up.1"]},
    )
    assert half.missing == "the record does not say which layers stayed in float"


def test_the_census_has_what_each_runtime_counted(report: Report) -> None:
    report.variants[4].details = [
        against_float(export("aoti", integer_convolutions="24", float_convolutions="2", torch="2.13.0"), 44.0, 41.25),
        export("executorch", integer_convolutions="24", operators_outside_xnnpack="3"),
    ]
    census = layers_of(report).census
    assert census.columns == [
        "Integer convolutions",
        "Float convolutions",
        "Operators outside XNNPACK",
        "File, MB",
        "Against its artifact, dB",
        "Against float, dB",
    ]
    dash = "\N{EN DASH}"
    assert census.rows == [
        ("int8", "aoti", ["24", "2", dash, "0.58", "55.2", "41.2"]),
        ("int8", "executorch", ["24", dash, "3", "0.58", "55.2", dash]),
    ]


def test_what_was_left_out_on_the_way_is_told_with_the_variants_that_it_holds_for(
    report: Report, tmp_path: Path
) -> None:
    quantized = {"stage": "quantize: int8", "scheme": "int8", "notes": ["2: steps of its weights are wider"]}
    file = export("aoti", left_out="copies of views: left out, since the outputs differ by 2.0e-01")
    folding = {"stage": "train", "left_out": ["folding of branches: left out, since the network breaks (x)"]}
    report.teacher.details = [folding, {"stage": "train", "notes": None, "left_out": {}}]
    report.variants[4].details = [quantized, file]
    report.variants[5].details = [quantized]
    assert layers_of(report).notes == [
        "photos: folding of branches: left out, since the network breaks (x)",
        "int8, pruned-30-int8: int8: 2: steps of its weights are wider",
        "int8: aoti file: copies of views: left out, since the outputs differ by 2.0e-01",
    ]
    assert "aoti file: copies of views: left out" in html_page(report, tmp_path)


def test_what_has_no_census_says_why(report: Report) -> None:
    report.variants[3].latency[0].file = None
    missing = layers_of(report).census.missing
    assert [line.split(":")[0] for line in missing] == [
        "photos, pruned-30, pruned-50, int8, pruned-50-int8",
        "ds-distilled",
        "fp16",
        "pruned-30-int8",
    ]
    assert "records of older versions have none" in missing[0]
    assert "it runs in memory" in missing[2]
    assert NO_VNNI in missing[3]


def test_many_layers_are_folded(report: Report, tmp_path: Path) -> None:
    report.variants[0].details = [widths(**{f"layer{i}": 48 for i in range(17)})]
    text = re.sub(r"<script.*?</script>", "", html_page(report, tmp_path), flags=re.DOTALL)
    assert "<summary>17 layers</summary>" in text
    assert text.count('style="--heat: 25%" title="25% removed"') == 17


def test_hostile_names_are_escaped(report: Report, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    report.variants[0].details = [
        widths(**{hostile: 3}),
        {"scheme": hostile, "in_float": {hostile: hostile}},
        export(hostile, integer_convolutions=hostile),
    ]
    text = re.sub(r"<script.*?</script>", "", html_page(report, tmp_path), flags=re.DOTALL)
    assert "<img src=x" not in text
