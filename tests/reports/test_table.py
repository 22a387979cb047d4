import csv
import io

import pytest
from rich.console import Console

from baseline.measurement import METRICS
from reports.digits import compact
from reports.record import GateVerdict, LatencyRow, Report
from reports.table import Cell, all_columns, best_variants, gates_verdict, tabulate
from reports.terminal import terminal_table
from reports.text import csv_text, markdown, markdown_table

DASH = "\N{EN DASH}"
AOTI = "latency (aoti, cpu)"
NO_VNNI = "int8 needs AVX512-VNNI here; this CPU has none"
ERROR = "the loss stopped being finite at step 212; type --set variants.ds-distilled.0.distill.lr=1e-4"


def cell(report: Report, name: str, key: str) -> Cell:
    table = tabulate(report)
    row = next(row for row in table.rows if row.variant.name == name)
    return next(cell for column, cell in table.cells_of(row) if column.key == key)


def on_terminal(report: Report, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(terminal_table(report))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows_of_csv(report: Report) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in csv.DictReader(io.StringIO(csv_text(report)))}


def test_columns_stand_in_the_agreed_order(report: Report) -> None:
    assert [column.heading for column in all_columns(report)] == [
        "Variant",
        "Params",
        "MACs",
        "FLOPs",
        "File MB",
        "Latency ms (aoti, cpu)",
        "PSNR dB",
        "SSIM",
        "PSNR loss dB [95% interval]",
        "Gain kept",
        "Effort steps / min (pictures)",
    ]


def test_rows_are_the_input_the_teacher_and_the_variants_in_their_order(report: Report) -> None:
    rows = tabulate(report).rows
    assert [row.kind for row in rows] == ["blurred", "teacher"] + ["variant"] * 7
    assert [row.variant.name for row in rows][1:4] == ["photos", "pruned-30", "pruned-50"]


@pytest.mark.parametrize(
    ("name", "key", "text", "change"),
    [
        ("pruned-30", "params", "0.70 M", "-30.0%"),
        ("pruned-50", "macs", "4.10 G", "-48.8%"),
        ("pruned-30", "flops", "11.20 G", "-30.0%"),
        ("int8", "file_mb", "1.10", "-72.5%"),
        ("int8", "params", "1.00 M", "0.0%"),
        ("fp16", AOTI, "260.0", "+30.0%"),
        ("pruned-50-int8", AOTI, "80.00", "-60.0%"),
        ("pruned-30", "psnr_db", "29.90", ""),
        ("pruned-30", "gain_kept", "0.950", ""),
        ("photos", "params", "1.00 M", ""),
    ],
)
def test_a_cell_shows_value_and_change_against_the_teacher(
    report: Report, name: str, key: str, text: str, change: str
) -> None:
    found = cell(report, name, key)
    assert (found.text, found.change) == (text, change)


def test_psnr_loss_has_its_interval(report: Report) -> None:
    assert cell(report, "fp16", "psnr_loss_db").more == "[-0.01, 0.01]"
    report.variants[3].metrics["psnr_loss_db"] = METRICS["psnr_loss_db"].measured(-0.001, "", (-0.004, 0.004))
    assert (cell(report, "fp16", "psnr_loss_db").text, cell(report, "fp16", "psnr_loss_db").more) == (
        "0.00",
        "[0.00, 0.00]",
    )


def test_effort_is_steps_minutes_and_pictures(report: Report) -> None:
    found = cell(report, "pruned-50", "effort")
    assert (found.text, found.more, found.raw) == ("300 / 3.5", "(2400)", (300, 3.5, 2400))


def test_flops_are_twice_the_macs(report: Report) -> None:
    rows = rows_of_csv(report)
    assert (rows["pruned-50"]["macs"], rows["pruned-50"]["flops"]) == ("4100000000", "8200000000")


def test_missing_flops_name_the_reason_of_the_macs(report: Report) -> None:
    report.variants[0].metrics["macs"] = METRICS["macs"].lacking("fvcore cannot count aten::fft")
    assert cell(report, "pruned-30", "flops") == Cell(DASH, missing="fvcore cannot count aten::fft")


def test_a_missing_number_is_a_dash_with_a_numbered_reason_everywhere(report: Report) -> None:
    assert cell(report, "pruned-30-int8", AOTI) == Cell(DASH, missing=NO_VNNI)
    number = tabulate(report).footnotes.index(NO_VNNI) + 1
    line = next(line for line in markdown(report).splitlines() if line.startswith("| pruned-30-int8"))
    assert f"| {DASH}<sup>{number}</sup> | 29.75 |" in line
    assert f"\n{number}. {NO_VNNI}\n" in markdown(report)
    assert f"\n{number}: {NO_VNNI}\n" in on_terminal(report, 160)
    row = rows_of_csv(report)["pruned-30-int8"]
    assert row["latency_median_ms (aoti, cpu)"] == ""
    assert row["missing"] == f"{AOTI}: {NO_VNNI}"


def test_equal_reasons_share_a_footnote(report: Report) -> None:
    report.variants[0].latency = [report.variants[5].latency[0]]
    assert tabulate(report).footnotes.count(NO_VNNI) == 1


def test_a_number_that_no_record_speaks_of_says_so(report: Report) -> None:
    del report.variants[0].metrics["ssim"]
    assert cell(report, "pruned-30", "ssim").missing == "the record has no ssim"


def test_a_reason_of_the_variant_is_used(report: Report) -> None:
    report.variants[0].latency = []
    report.variants[0].missing["latency"] = "no runtime is installed"
    assert cell(report, "pruned-30", AOTI).missing == "no runtime is installed"


def test_a_failed_variant_shows_and_names_its_error(report: Report) -> None:
    assert cell(report, "ds-distilled", "name").more == "✗ failed"
    assert cell(report, "ds-distilled", "params").missing == f"ds-distilled failed: {ERROR}"
    assert cell(report, "ds-distilled", "effort").text == DASH
    assert ERROR in on_terminal(report, 200)
    assert rows_of_csv(report)["ds-distilled"]["status"] == "failed"


def test_a_failed_gate_marks_its_row_and_is_listed(report: Report) -> None:
    assert cell(report, "pruned-50", "name").more == "✗ gate failed"
    assert cell(report, "pruned-30", "name").more == ""
    assert tabulate(report).gate_notes == [
        "pruned-50: gate min_gain_kept failed: 0.8, limit 0.85",
        "pruned-50-int8: gate min_gain_kept failed: 0.75, limit 0.85",
    ]


def test_a_gate_that_could_not_be_judged_is_listed_but_did_not_fail(report: Report) -> None:
    report.variants[0].gates = [
        GateVerdict(gate="max_latency_ms", limit=9, measured=None, passed=None, reason="no CUDA device")
    ]
    assert cell(report, "pruned-30", "name").more == ""
    assert tabulate(report).gate_notes[0] == (
        f"pruned-30: gate max_latency_ms could not be judged: {DASH}, limit 9 (no CUDA device)"
    )


def test_the_blurred_input_has_quality_only_and_no_footnotes(report: Report) -> None:
    row = tabulate(report).rows[0]
    assert [cell.text for cell in row.cells] == ["blurred input", *[DASH] * 5, "28.00", "0.8200", *[DASH] * 3]
    assert not any(cell.missing for cell in row.cells)


def test_without_a_blurred_quality_there_is_no_such_row(report: Report) -> None:
    report.run.blurred_psnr_db = report.run.blurred_ssim = None
    assert tabulate(report).rows[0].kind == "teacher"


def test_lpips_has_a_column_where_it_was_measured(report: Report) -> None:
    assert "lpips" not in [column.key for column in all_columns(report)]
    report.run.blurred_lpips = 0.3
    report.teacher.metrics["lpips"] = METRICS["lpips"].measured(0.1234, "")
    report.variants[0].metrics["lpips"] = METRICS["lpips"].measured(0.2, "")
    report.variants[4].metrics["lpips"] = METRICS["lpips"].measured(0.15, "")
    keys = [column.key for column in all_columns(report)]
    assert keys[keys.index("ssim") + 1] == "lpips"
    assert [cell(report, name, "lpips").text for name in ("blurred input", "photos")] == ["0.3000", "0.1234"]
    assert cell(report, "fp16", "lpips") == Cell(DASH, missing="the record has no lpips")
    column = next(column for column in all_columns(report) if column.key == "lpips")
    assert [variant.name for variant in best_variants(report, column)] == ["int8"]  # the lowest is the best


def test_the_verdict_names_who_holds_all_gates_and_what_was_not_judged_is_not_held(report: Report) -> None:
    assert gates_verdict(report) == "4 of 7 variants hold all their gates: pruned-30, fp16, int8, pruned-30-int8."
    report.variants[0].gates.append(GateVerdict(gate="max_file_mb", limit=9, measured=None, passed=None))
    assert gates_verdict(report) == "3 of 7 variants hold all their gates: fp16, int8, pruned-30-int8."
    report.variants[1].gates = []
    assert gates_verdict(report) == (
        "3 of 6 variants hold all their gates: fp16, int8, pruned-30-int8; 1 has no gates."
    )
    for variant in report.variants:
        variant.gates = []
    assert gates_verdict(report) is None


def test_best_counts_only_variants_that_hold_their_gates(report: Report) -> None:
    best = {c.key: [variant.name for variant in best_variants(report, c)] for c in all_columns(report)}
    assert best["file_mb"] == ["pruned-30-int8"]
    assert best["params"] == ["pruned-30", "pruned-30-int8"]
    assert best["psnr_db"] == ["fp16"]
    assert best[AOTI] == ["int8"]
    assert best["effort"] == []


def test_a_gpu_column_appears_only_if_some_row_speaks_of_it(report: Report) -> None:
    assert not any("cuda" in column.heading for column in all_columns(report))
    on_gpu = {"runtime": "inductor", "device": "cuda", "file": None}
    report.teacher.latency.append(report.teacher.latency[0].model_copy(update=on_gpu))
    headings = [column.heading for column in all_columns(report)]
    assert headings[5:7] == ["Latency ms (aoti, cpu)", "Latency ms (inductor, cuda, no file)"]


def test_a_latency_is_that_of_its_device(report: Report) -> None:
    on_gpu = {"device": "cuda", "median_ms": 4.0}
    report.teacher.latency.insert(0, report.teacher.latency[0].model_copy(update=on_gpu))
    assert cell(report, "photos", AOTI).text == "200.0"
    assert cell(report, "photos", "latency (aoti, cuda)").text == "4.00"
    assert cell(report, "int8", "latency (aoti, cuda)") == Cell(DASH, missing="the record has no latency")


def test_a_row_without_time_or_reason_makes_no_column(report: Report) -> None:
    nothing = {"device": "cuda", "median_ms": None}
    report.teacher.latency.append(report.teacher.latency[0].model_copy(update=nothing))
    assert not any("cuda" in column.heading for column in all_columns(report))


def test_a_reason_alone_makes_a_latency_column(report: Report) -> None:
    reason = LatencyRow(
        runtime="tensorrt",
        device="cuda",
        dtype="float16",
        threads=0,
        batch=1,
        size=(256, 256),
        missing="no CUDA device",
    )
    report.teacher.latency.append(reason)
    assert cell(report, "photos", "latency (tensorrt, cuda)").missing == "no CUDA device"


def test_times_under_other_conditions_stand_in_their_own_column(report: Report) -> None:
    more_threads = {"threads": 8, "median_ms": 50.0}
    report.variants[0].latency.append(report.teacher.latency[0].model_copy(update=more_threads))
    headings = [column.heading for column in all_columns(report)]
    assert "Latency ms (aoti, cpu, 2 threads, 1x256x256)" in headings
    other = cell(report, "pruned-30", "latency (aoti, cpu, 8 threads, 1x256x256)")
    assert (other.text, other.change) == ("50.00", "")


def test_csv_holds_the_raw_numbers(report: Report) -> None:
    row = rows_of_csv(report)["int8"]
    numbers = {key: float(text) for key, text in row.items() if text and key not in ("name", "role", "status")}
    assert numbers == pytest.approx(
        {
            "params": 1_000_000,
            "macs": 8e9,
            "flops": 16e9,
            "file_mb": 1.1,
            "latency_median_ms (aoti, cpu)": 110.0,
            "latency_p10_ms (aoti, cpu)": 104.5,
            "latency_p90_ms (aoti, cpu)": 121.0,
            "psnr_db": 29.8,
            "ssim": 0.89,
            "psnr_loss_db": 0.2,
            "psnr_loss_ci95_low_db": 0.15,
            "psnr_loss_ci95_high_db": 0.25,
            "gain_kept": 0.9,
            "effort_steps": 0,
            "effort_minutes": 0.4,
            "effort_pictures": 64,
        }
    )


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t"])
def test_no_cell_of_csv_is_a_formula(report: Report, begin: str) -> None:
    report.variants[0].name = f"{begin}cmd|'/C calc'!A0"
    report.variants[0].metrics["psnr_loss_db"] = METRICS["psnr_loss_db"].measured(-0.1, "", (-0.2, -0.05))
    row = rows_of_csv(report)[f"'{begin}cmd|'/C calc'!A0"]
    assert row["psnr_loss_db"] == "-0.1"  # a number stays one


def test_macs_and_flops_are_told_in_one_unit(report: Report) -> None:
    report.variants[0].metrics["macs"] = METRICS["macs"].measured(93_500_000, "")
    assert [cell(report, "pruned-30", key).text for key in ("macs", "flops")] == ["93.50 M", "187.00 M"]


def test_what_is_worse_than_the_blurred_input_is_marked_and_best_only_among_its_like(report: Report) -> None:
    report.variants[5].metrics["gain_kept"] = METRICS["gain_kept"].measured(-0.1, "")
    file = next(column for column in all_columns(report) if column.key == "file_mb")
    assert cell(report, "pruned-30-int8", "name").more == "✗ worse than blurred"
    assert [variant.name for variant in best_variants(report, file)] == ["int8"]
    for variant in report.variants:
        variant.metrics["gain_kept"] = METRICS["gain_kept"].measured(-0.1, "")
    assert cell(report, "pruned-50", "name").more == "✗ gate failed, worse than blurred"
    assert [variant.name for variant in best_variants(report, file)] == ["pruned-30-int8"]


def test_csv_survives_commas_quotes_and_newlines(report: Report) -> None:
    report.variants[5].latency[0].missing = 'says "no",\nand again'
    assert rows_of_csv(report)["pruned-30-int8"]["missing"] == f'{AOTI}: says "no",\nand again'


def test_markdown_escapes_html_and_pipes(report: Report) -> None:
    report.variants[0].name = "a|b<script>"
    text = markdown(report)
    assert r"| a\|b&lt;script&gt; |" in text
    assert r"methods \| and chains &lt;img onerror=alert(1)&gt; against" in text
    assert "<img" not in text


def test_every_markdown_row_has_all_columns(report: Report) -> None:
    lines = [line for line in markdown_table(report).splitlines() if line.startswith("|")]
    assert [line.count(" | ") for line in lines] == [10] * 11


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_terminal_table_fits_and_loses_nothing(report: Report, width: int) -> None:
    text = on_terminal(report, width)
    assert max(len(line) for line in text.splitlines()) <= width
    for value in ("0.70 M", "11.20 G", "-72.5%", "[0.15, 0.25]", "0.875", "300 / 3.5", "✗ gate failed", "28.00"):
        assert value in text


def test_the_terminal_table_is_one_piece_at_100_columns(report: Report) -> None:
    assert on_terminal(report, 100).count("pruned-30-int8 ") == 1
    assert on_terminal(report, 60).count("pruned-30-int8 ") == 2


def test_a_terminal_shows_names_that_look_like_markup(report: Report) -> None:
    report.variants[0].name = "[red]x[/red]"
    assert "[red]x[/red]" in on_terminal(report, 120)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (600, "600"),
        (9999, "9999"),
        (10_000, "10.00 k"),
        (930_000, "0.93 M"),
        (8_712_000_000, "8.71 G"),
        (2e12, "2.00 T"),
    ],
)
def test_compact(number: float, text: str) -> None:
    assert compact(number) == text
