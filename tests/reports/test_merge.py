from collections.abc import Callable
from pathlib import Path

import pytest

from baseline.errors import UserError
from reports.conditions import facts
from reports.merge import copy_pictures, merge
from reports.plots import plots_data
from reports.record import GateVerdict, Report, Variant
from reports.table import DASH, Cell, all_columns, tabulate
from reports.write import write_report
from tests.reports.picture_files import drawn, write_picture
from tests.reports.records import GPU, on_gpu, set_metric, shipped, variant_of

ON_XEON = "latency (aoti, cpu, Intel(R) Xeon(R) Processor)"
ON_GPU = f"latency (tensorrt, cuda, {GPU})"


@pytest.fixture
def demo() -> Report:
    return shipped("demo")


def cell(report: Report, name: str, key: str) -> Cell:
    table = tabulate(report)
    row = next(row for row in table.rows if row.variant.name == name)
    return next(cell for column, cell in table.cells_of(row) if column.key == key)


def latency_keys(report: Report) -> list[str]:
    return [column.key for column in all_columns(report) if column.key.startswith("latency")]


def test_cpu_and_gpu_stand_side_by_side(demo: Report) -> None:
    merged = merge([("here", demo), ("there", on_gpu(demo))])
    assert [variant.name for variant in merged.variants] == [variant.name for variant in demo.variants]
    assert latency_keys(merged) == [ON_XEON, "latency (aoti, cpu, Xeon Platinum)", ON_GPU]
    times = [variant_of(demo, "int8").latency[0].median_ms, demo.teacher.latency[0].median_ms]
    assert [cell(merged, "int8", ON_XEON).raw[0], cell(merged, "teacher", ON_XEON).raw[0]] == times
    assert cell(merged, "int8", ON_GPU).text == "0.58"  # 23.28 ms / 40
    assert cell(merged, "int8", ON_GPU).change == cell(merged, "int8", ON_XEON).change == "-60.8%"


def test_a_change_is_against_the_teacher_on_the_same_machine(demo: Report) -> None:
    slower = on_gpu(demo)
    slower.teacher.latency[1].median_ms = 100.0
    variant_of(slower, "int8").latency[1].median_ms = 25.0
    merged = merge([("here", demo), ("there", slower)])
    assert cell(merged, "int8", ON_GPU).change == "-75.0%"


def test_real_runs_of_three_machines_become_one_report() -> None:
    runs = [(name, shipped(name)) for name in ("demo", "edge", "students")]
    merged = merge(runs)
    assert len(merged.variants) == 6 + 3 + 2
    assert merged.run.name == "demo + edge + students"
    # Their teachers differ by 1e-5 dB, as processors round; both AMD machines have the same name.
    assert "latency (aoti, cpu, AMD EPYC, run edge)" in latency_keys(merged)
    assert "latency (aoti, cpu, AMD EPYC, run students)" in latency_keys(merged)
    assert cell(merged, "narrow", ON_XEON) == Cell(DASH, missing="not timed on Intel(R) Xeon(R) Processor")
    # The demo's record is older than LPIPS; the others know it of the same teacher and input.
    assert merged.run.blurred_lpips == runs[1][1].run.blurred_lpips
    assert merged.teacher.metrics["lpips"] == runs[1][1].teacher.metrics["lpips"]
    assert cell(merged, "int8", "lpips").missing == "the record has no lpips"


def test_a_variant_that_came_out_differently_is_kept_apart(demo: Report) -> None:
    other, chained = on_gpu(demo), on_gpu(demo)
    set_metric(variant_of(other, "int8"), "psnr_db", 26.5)
    variant_of(chained, "int8").chain = ["quantize scheme int8, granularity tensor"]
    merged = merge([("a", demo), ("b", other), ("c", chained), ("d", on_gpu(demo))])
    names = [variant.name for variant in merged.variants]
    assert names[4:7] == ["int8 (a, d)", "int8 (b)", "int8 (c)"]
    assert cell(merged, "int8 (b)", "psnr_db").text == "26.50"
    assert cell(merged, "int8 (b)", ON_XEON).missing == "not timed on Intel(R) Xeon(R) Processor"


def test_a_difference_that_no_report_shows_is_none(demo: Report) -> None:
    other = on_gpu(demo)
    set_metric(variant_of(other, "int8"), "psnr_db", variant_of(demo, "int8").metrics["psnr_db"].value + 0.004)
    assert "int8" in [variant.name for variant in merge([("a", demo), ("b", other)]).variants]
    set_metric(variant_of(other, "int8"), "psnr_db", variant_of(demo, "int8").metrics["psnr_db"].value + 0.006)
    assert "int8" not in [variant.name for variant in merge([("a", demo), ("b", other)]).variants]


def test_one_that_failed_elsewhere_keeps_its_reason(demo: Report) -> None:
    other = on_gpu(demo)
    place = [variant.name for variant in other.variants].index("fp16")
    other.variants[place] = Variant(name="fp16", chain=demo.variants[place].chain, status="failed", error="no memory")
    merged = merge([("a", demo), ("b", other)])
    assert cell(merged, "fp16 (b)", ON_GPU).missing == "fp16 (b) failed: no memory"
    assert cell(merged, "fp16 (a)", "psnr_db").text == "27.02"


def change_teacher(report: Report) -> None:
    set_metric(report.teacher, "params", 927390)


def change_teachers_quality(report: Report) -> None:
    set_metric(report.teacher, "psnr_db", 27.1)


def forget_teacher(report: Report) -> None:
    del report.teacher.metrics["macs"]


def change_data(report: Report) -> None:
    report.run.data = "gopro"


def drop_pairs(report: Report) -> None:
    report.teacher.pictures = report.teacher.pictures[:12]


def change_pair(report: Report) -> None:
    report.teacher.pictures[3] = report.teacher.pictures[3].model_copy(update={"name": "other"})


def change_blur(report: Report) -> None:
    report.run.blurred_psnr_db = 25.0


def change_scoring(report: Report) -> None:
    report.run.conditions[1] = report.run.conditions[1].replace("sigma 1.5", "sigma 2")


def align(report: Report) -> None:
    report.run.conditions.append("Alignment: ECC.")


def change_size(report: Report) -> None:
    macs = report.teacher.metrics["macs"]
    conditions = macs.conditions.replace("256x256", "512x512")
    report.teacher.metrics["macs"] = macs.model_copy(update={"conditions": conditions})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            change_teacher,
            "the same teacher (its Parameters); a has 927389, b has 927390. Leave b out, or run its recipe again with "
            "the same teacher.",
        ),
        (change_teachers_quality, "the same teacher (its PSNR); a has 27.02 dB, b has 27.10 dB."),
        (forget_teacher, "the same teacher (its MACs); a has 8705212416, b has none recorded."),
        (change_data, "the same data set; a has photos, b has gopro. Leave b out, or run its recipe again with --set"),
        (drop_pairs, "the same test pairs; a has 24, b has 12."),
        (change_pair, ", b has other. Leave b out"),
        (change_blur, "the same blurred input; a has 24.916 dB, b has 25.000 dB."),
        (change_scoring, "the same scoring (SSIM); a has SSIM per channel, Gaussian 11x11, sigma 1.5, b has SSIM per"),
        (align, "the same alignment before scoring; a has none, b has ECC. Leave"),
        (change_size, "the same way to count MACs; a has fvcore, 1x3x256x256, deployed graph, b has fvcore, 1x3x512x5"),
    ],
)
def test_what_must_not_share_a_column_is_refused(demo: Report, change: Callable[[Report], None], said: str) -> None:
    other = on_gpu(demo)
    change(other)
    with pytest.raises(UserError) as caught:
        merge([("a", demo), ("b", other)])
    assert said in str(caught.value)
    assert str(caught.value).startswith("the runs of one report must have the same ")


def test_without_known_pairs_no_number_of_pairs_is_advised(demo: Report) -> None:
    other = on_gpu(demo)
    demo.teacher.pictures = demo.run.blurred_pictures = []
    with pytest.raises(UserError) as caught:
        merge([("a", demo), ("b", other)])
    assert str(caught.value).endswith(
        "a has 0, b has 24. Leave b out, or run its recipe again with the pairs of the first."
    )


def test_conditions_and_environment_of_every_run_are_told(demo: Report) -> None:
    merged = merge([("a", demo), ("edge", shipped("edge"))])
    assert merged.run.environment["a: cpu"] == "Intel(R) Xeon(R) Processor"
    assert merged.run.environment["edge: cpu"] == "AMD EPYC"
    assert merged.run.conditions[0] == demo.run.conditions[0]
    assert [line for line in merged.run.conditions if line.startswith("edge: Quality: mean over 24 test pairs")]
    assert "Rows of edge: teacher, edge, edge-int8, edge-int8-qat." in merged.run.conditions
    assert merged.run.command == "lightsharp run demo; lightsharp run edge"
    told = {fact.title: fact.lines for fact in facts(merged)}
    assert "edge: processor: AMD EPYC" in told["Machine"]
    assert [line.partition(",")[0] for line in told["Versions"]] == ["a: python 3.11.7", "edge: python 3.11.7"]
    assert "aoti on cpu, Intel(R) Xeon(R) Processor: 2 threads, batch 1, 256x256 pixels" in told["Timed with"]


def test_a_teacher_that_was_scored_as_something_else_is_told(demo: Report) -> None:
    other = on_gpu(demo)
    scored = other.teacher.metrics["psnr_db"].model_copy(update={"conditions": "24 test pairs, scored in memory"})
    other.teacher.metrics["psnr_db"] = scored
    said = merge([("a", demo), ("b", other)]).run.conditions[-1]
    assert said.endswith(
        "a: 27.02 dB, 24 test pairs, scored as its aoti file; b: 27.02 dB, 24 test pairs, scored in memory."
    )


def test_file_sizes_of_the_other_runs_are_in_the_conditions(demo: Report) -> None:
    other = on_gpu(demo)
    engine = other.teacher.metrics["file_mb"].model_copy(update={"value": 2.5, "conditions": "tensorrt file"})
    other.teacher.metrics["file_mb"] = engine
    size = merge([("a", demo), ("b", other)]).teacher.metrics["file_mb"]
    assert size.value == demo.teacher.metrics["file_mb"].value
    assert size.conditions == "a: aoti file, compiled code included; b: 2.50 MB, tensorrt file"


def test_gates_and_reasons_say_whose_they_are(demo: Report) -> None:
    other = on_gpu(demo)
    kept = GateVerdict(gate="min_gain_kept", limit=0.85, measured=0.97, passed=True)
    slow = GateVerdict(gate="max_latency_ms (aoti, cpu)", limit=10, measured=23.3, passed=False)
    variant_of(demo, "int8").gates = [kept, slow]
    variant_of(other, "int8").gates = [kept]
    variant_of(demo, "int8").missing = {"openvino file": "not installed", "x": "no"}
    variant_of(other, "int8").missing = {"openvino file": "no AVX", "x": "no"}
    found = variant_of(merge([("a", demo), ("b", other)]), "int8")
    assert [gate.gate for gate in found.gates] == ["min_gain_kept", "max_latency_ms (aoti, cpu), run a"]
    assert found.missing == {"openvino file": "a: not installed; b: no AVX", "x": "no"}


def test_files_that_only_one_run_wrote_are_among_the_details(demo: Report) -> None:
    other = on_gpu(demo)
    variant_of(other, "int8").details.append({"stage": "export: tensorrt", "megabytes": 2.0})
    details = variant_of(merge([("a", demo), ("b", other)]), "int8").details
    assert details[:-1] == variant_of(demo, "int8").details
    assert details[-1] == {"stage": "export: tensorrt", "megabytes": 2.0}


def test_bars_of_two_machines_are_two_series(demo: Report) -> None:
    drawn = plots_data(merge([("a", demo), ("b", on_gpu(demo))]))["latency"]
    places = [series["place"] for series in drawn["series"]]
    assert places == ["aoti, cpu, Intel(R) Xeon(R) Processor", "aoti, cpu, Xeon Platinum", f"tensorrt, cuda, {GPU}"]


def test_one_run_alone_stays_as_it_is(demo: Report) -> None:
    assert merge([("a", demo)]) is demo


def test_a_merged_report_is_not_merged_again(demo: Report) -> None:
    merged = merge([("a", demo), ("b", on_gpu(demo))])
    with pytest.raises(UserError, match=r"^both must be the report of one run; it is one of several \(a \+ b\)\."):
        merge([("both", merged), ("c", demo)])


def test_pictures_come_from_whichever_run_has_them(demo: Report, tmp_path: Path) -> None:
    other = on_gpu(demo)
    set_metric(variant_of(other, "int8"), "psnr_db", 26.5)
    picture = demo.run.sample_pictures[0]
    first = write_picture(tmp_path / "a/pictures", picture, "int8")
    second = write_picture(tmp_path / "b/pictures", picture, "int8", drawn(200))
    sharp = write_picture(tmp_path / "b/pictures", picture, "sharp")
    runs = [("a", demo, tmp_path / "a"), ("b", other, tmp_path / "b")]
    copy_pictures(runs, tmp_path / "out")
    copied = tmp_path / "out/pictures" / picture
    assert {path.name for path in copied.iterdir()} == {"int8 (a).webp", "int8 (b).webp", "sharp.webp"}
    assert (copied / "int8 (a).webp").read_bytes() == first.read_bytes()
    assert (copied / "int8 (b).webp").read_bytes() == second.read_bytes()
    assert (copied / "sharp.webp").read_bytes() == sharp.read_bytes()
    write_report(merge([(name, report) for name, report, _ in runs]), tmp_path / "out")
    assert "int8 (b)" in (tmp_path / "out/report.html").read_text()
