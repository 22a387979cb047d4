import json
from typing import Any

import pytest

from baseline.measurement import METRICS
from reports.plots import front_of, plots_data
from reports.record import Report
from tests.reports.conftest import NO_VNNI

LATENCY = "latency (aoti, cpu)"


def point(report: Report, name: str) -> dict[str, Any]:
    points: list[dict[str, Any]] = plots_data(report)["tradeoff"]["points"]
    return next(point for point in points if point["name"] == name)


def test_the_axes_are_what_the_report_has_values_of(report: Report) -> None:
    tradeoff = plots_data(report)["tradeoff"]
    assert [axis["key"] for axis in tradeoff["x"]] == [LATENCY, "macs", "file_mb", "params"]
    assert [(axis["key"], axis["lower"]) for axis in tradeoff["y"]] == [
        ("gain_kept", False),
        ("psnr_loss_db", True),
        ("psnr_db", False),
    ]
    assert tradeoff["start"] == [LATENCY, "gain_kept"]
    assert tradeoff["blurred"] == {"psnr_db": 28.0}
    for variant in report.variants:
        variant.latency = []
    assert plots_data(report)["tradeoff"]["start"] == ["macs", "gain_kept"]


def test_a_point_has_its_value_with_both_ends(report: Report) -> None:
    at = point(report, "int8")["at"]
    assert at[LATENCY] == pytest.approx([110.0, 104.5, 121.0])
    assert at["psnr_loss_db"] == [0.2, 0.15, 0.25]
    assert at["gain_kept"] == [0.9, 0.9, 0.9]
    assert at["macs"] == [8e9, 8e9, 8e9]
    report.variants[4].metrics["psnr_db"] = METRICS["psnr_db"].measured(29.8, "", (29.5, 30.25))
    assert point(report, "int8")["at"]["psnr_db"] == [29.8, 29.5, 30.25]


def test_the_teacher_keeps_everything_and_loses_nothing(report: Report) -> None:
    teacher = point(report, "photos")
    assert (teacher["kind"], teacher["at"]["gain_kept"][0], teacher["at"]["psnr_loss_db"][0]) == ("teacher", 1.0, 0.0)


def test_failed_gates_and_failed_variants_are_told_apart_from_sound_ones(report: Report) -> None:
    kinds = {p["name"]: p["kind"] for p in plots_data(report)["tradeoff"]["points"]}
    assert [name for name, kind in kinds.items() if kind == "failed"] == ["pruned-50", "ds-distilled", "pruned-50-int8"]
    assert "a gate failed" in point(report, "pruned-50")["hover"]


def test_what_has_no_place_on_an_axis_says_why(report: Report) -> None:
    assert point(report, "pruned-30-int8")["missing"] == {LATENCY: NO_VNNI}
    assert "the loss stopped being finite" in point(report, "ds-distilled")["missing"]["macs"]


def test_hover_says_name_chain_and_numbers(report: Report) -> None:
    hover = point(report, "pruned-30")["hover"]
    for part in ("<b>pruned-30</b>", "prune: {params_cut: 0.3}", "Params 0.70 M", "0.10 dB", "[0.05, 0.15]", "0.950"):
        assert part in hover
    assert max(map(len, hover.split("<br>"))) < 90


def test_the_front_of_two_axes_leaves_out_what_is_dominated_and_what_failed(report: Report) -> None:
    fronts = plots_data(report)["tradeoff"]["fronts"]
    # 110 ms 0.9, 150 ms 0.95, 200 ms 1.0; fp16 at 260 ms is as good as the teacher; 80 and 120 ms failed their gates.
    assert fronts[f"{LATENCY}|gain_kept"] == ["int8", "pruned-30", "photos"]
    assert fronts["file_mb|psnr_loss_db"] == ["pruned-30-int8", "int8", "fp16"]


def test_of_equal_points_the_front_has_one() -> None:
    assert front_of([("a", 1.0, 2.0), ("b", 1.0, 2.0), ("c", 1.0, 3.0), ("d", 2.0, 3.0)], lower_is_better=False) == [
        "c"
    ]
    assert front_of([("a", 1.0, 2.0), ("b", 2.0, 1.0), ("c", 3.0, 1.5)], lower_is_better=True) == ["a", "b"]


def test_every_timed_row_is_a_bar_with_its_precision_and_the_others_say_why(report: Report) -> None:
    latency = plots_data(report)["latency"]
    bars = {bar["name"]: bar for bar in latency["bars"]}
    assert bars["fp16"]["at"] == pytest.approx([260.0, 247.0, 286.0])
    assert bars["fp16"]["label"] == "260.0 float16"
    assert bars["pruned-30-int8"]["at"] is None
    assert "not measured" in bars["pruned-30-int8"]["label"]
    assert "int8 needs AVX512-VNNI" in bars["pruned-30-int8"]["hover"]
    assert latency["notes"][0].startswith("ds-distilled: ds-distilled failed: the loss stopped being finite")
    assert [series["place"] for series in latency["series"]] == ["aoti, cpu"]


def test_without_any_time_there_is_no_box_but_a_reason(report: Report) -> None:
    for variant in (report.teacher, *report.variants):
        variant.latency, variant.error, variant.missing = [], None, {"latency": "no runtime"}
    latency = plots_data(report)["latency"]
    assert latency["bars"] == []
    assert latency["notes"] == ["photos, pruned-30, pruned-50, ds-distilled, fp16, int8 and 2 more: no runtime"]


def test_losses_are_paired_by_picture(report: Report) -> None:
    pictures = report.variants[0].pictures
    pictures.reverse()
    pictures[0].psnr_db += 2.0
    rows = plots_data(report)["pictures"]["rows"]
    assert rows[0]["name"] == "pruned-30"
    assert rows[0]["losses"] == pytest.approx([-1.9, 0.1])
    assert rows[0]["mean"] == pytest.approx(-0.9)
    assert "giraffe<br>-1.90 dB lost" in rows[0]["hovers"][0]
    assert "ds-distilled" not in [row["name"] for row in rows]


def test_pictures_that_the_teacher_lacks_are_counted(report: Report) -> None:
    report.teacher.pictures.pop()
    drawn = plots_data(report)["pictures"]
    assert all(len(row["losses"]) == 1 for row in drawn["rows"])
    assert any("1 of 2 pictures were not restored by the teacher" in note for note in drawn["notes"])


def test_nothing_to_draw_is_no_plot(report: Report) -> None:
    report.variants = []
    assert list(plots_data(report)) == ["latency"]
    report.teacher.metrics, report.teacher.latency, report.teacher.pictures = {}, [], []
    assert plots_data(report) == {}


def test_hostile_names_are_escaped_where_plotly_reads_markup(report: Report) -> None:
    report.variants[0].name = "<img src=x>"
    report.variants[0].chain = ["</script><b>'x'"]
    report.variants[0].latency[0].runtime = report.variants[0].pictures[0].name = "<img src=y>"
    report.teacher.pictures[0].name = "<img src=y>"
    data = plots_data(report)
    hovers = [p["hover"] for p in data["tradeoff"]["points"]] + [bar["hover"] for bar in data["latency"]["bars"]]
    hovers += [hover for row in data["pictures"]["rows"] for hover in row["hovers"]]
    assert not [hover for hover in hovers if "<img" in hover or "<b>'" in hover]
    assert "&lt;/script&gt;&lt;b&gt;'x'" in hovers[1]
    assert any("&lt;img src=y&gt;" in hover for hover in hovers)


def test_the_same_report_gives_the_same_data(report: Report) -> None:
    one, other = (json.dumps(plots_data(r)) for r in (report, report.model_copy(deep=True)))
    assert one == other


def test_what_does_worse_than_the_blurred_input_says_so_where_one_points(report: Report) -> None:
    report.variants[0].metrics["gain_kept"] = METRICS["gain_kept"].measured(-0.1, "")
    hovers = {point["name"]: point["hover"] for point in plots_data(report)["tradeoff"]["points"]}
    told = [name for name, hover in hovers.items() if hover.endswith("<br>does worse than leaving the picture alone")]
    assert told == ["pruned-30"]
