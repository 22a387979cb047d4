import re
from pathlib import Path
from typing import Any

import pytest

from baseline.measurement import METRICS
from reports.conditions import picture_licence
from reports.page import html_page, summary
from reports.record import Report
from tests.reports.picture_files import write_picture
from tests.reports.records import shipped

SCRIPT = re.compile(r"<script.*?</script>", re.DOTALL)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for column in ("blurred", "sharp", "teacher", "pruned-30"):
        write_picture(tmp_path, "eiffelTower", column)
    return tmp_path


def page(report: Report, pictures: Path) -> str:
    """The page without its scripts."""
    return SCRIPT.sub("", html_page(report, pictures))


def row(text: str, name: str) -> str:
    """The table's row of a variant."""
    rows: list[str] = re.findall(r"<tr class.*?</tr>", text, re.DOTALL)
    return next(row for row in rows if re.search(rf'scope="row">{name}<', row))


def test_hostile_text_is_escaped(report: Report, pictures: Path) -> None:
    innocent = html_page(report, pictures)
    report.variants[0].name = "<img src=x onerror=alert(2)>"
    report.variants[0].details = [{"<b>key": "<script>alert(3)"}]
    report.variants[2].error = "<svg onload=alert(4)>"
    report.run.command = "</code><script>"
    whole = html_page(report, pictures)
    text = SCRIPT.sub("", whole)
    assert whole.count("</script>") == innocent.count("</script>")
    assert "<img src=x onerror" not in whole  # nor in the texts to copy
    assert "chains &lt;img onerror=alert(1)&gt; against" in text
    for hostile in ("<img src=x", "<img onerror", "<script", "<svg onload", "<b>key"):
        assert hostile not in text


def test_the_page_needs_no_network(report: Report, pictures: Path) -> None:
    text = html_page(report, pictures)
    assert "default-src 'none'; img-src data:" in text
    assert not re.search(r"<link|@import|<script[^>]*src=", SCRIPT.sub("", text))
    assert not re.findall(r'(?:src|href)="(?!data:|#)', SCRIPT.sub("", text))
    assert text.count("plotly.js v") == 1


def test_the_same_records_give_the_same_bytes(report: Report, pictures: Path) -> None:
    assert html_page(report, pictures) == html_page(report.model_copy(deep=True), pictures)


def test_a_missing_number_is_a_dash_that_leads_to_its_reason(report: Report, pictures: Path) -> None:
    text = page(report, pictures)
    number = re.search(r'<li id="note-(\d)">int8 needs AVX512-VNNI here', text)
    assert number
    assert f'<td>\N{EN DASH}<sup><a href="#note-{number[1]}"' in row(text, "pruned-30-int8")


def test_changes_are_toned_by_their_direction(report: Report, pictures: Path) -> None:
    text = page(report, pictures)
    assert '<span class="second bad">+30.0%</span>' in row(text, "fp16")
    assert '<span class="second good">-50.0%</span>' in row(text, "fp16")
    assert '<span class="second ">0.0%</span>' in row(text, "fp16")


def test_the_best_of_a_column_is_marked(report: Report, pictures: Path) -> None:
    text = page(report, pictures)
    assert '<td data-value="110.0" class="best">110.0' in row(text, "int8")
    assert "best" not in row(text, "pruned-50-int8")
    assert text.count('class="best"') == 3 + 4 + 4 + 1  # pruned-30, pruned-30-int8, fp16, int8


def test_the_summary_says_what_there_was_to_gain_and_who_holds(report: Report) -> None:
    assert summary(report) == [
        "The teacher lifts the blurred pictures from 28.00 to 30.00 dB, a gain of 2.00 dB. "
        "“Gain kept” is the share of it that a variant keeps.",
        "4 of 7 variants hold all their gates: pruned-30, fp16, int8, pruned-30-int8.",
        "Not made, because of an error: ds-distilled.",
    ]
    report.variants[0].metrics["gain_kept"] = METRICS["gain_kept"].measured(-0.2, "")
    assert "Worse than leaving the pictures as they are: pruned-30." in summary(report)


def test_cards_name_the_best_variants(report: Report, pictures: Path) -> None:
    text = page(report, pictures)
    cards = re.findall(r'<div class="title">(.*?)<div class="quality', text, re.DOTALL)
    among = "among those that failed no gate"
    found = [[part.strip() for part in re.split(r"<[^>]+>", card) if part.strip()] for card in cards]
    assert found == [
        ["Smallest file", among, "0.80 MB", "-80.0%", "pruned-30-int8"],
        ["Fewest MACs", among, "5.60 G", "-30.0%", "pruned-30"],
        ["Fastest (cpu)", among, "110.0 ms", "-45.0%", "int8"],
        ["Least loss", among, "0.00 dB", "fp16"],
    ]


def cards_of(text: str) -> list[list[str]]:
    """What each card of the summary says, part by part."""
    cards = re.findall(r'<div class="title">(.*?)\n  </div>', text, re.DOTALL)
    return [[part.strip() for part in re.split(r"<[^>]+>", card) if part.strip()] for card in cards]


def test_what_does_worse_than_the_blurred_input_is_the_best_of_nothing(report: Report, pictures: Path) -> None:
    # The smallest file: its place goes to the next one.
    report.variants[5].metrics["gain_kept"] = METRICS["gain_kept"].measured(-0.1, "")
    text = page(report, pictures)
    among = "among those that failed no gate and are not worse than the blurred input"
    assert cards_of(text)[0][:5] == ["Smallest file", among, "1.10 MB", "-72.5%", "int8"]
    assert 'class="best"' not in row(text, "pruned-30-int8")
    assert "✗ worse than blurred" in row(text, "pruned-30-int8")
    assert "worse than blurred" not in row(text, "int8")
    assert re.findall(r'">([^<]*)</a><span class="bad">(.*?)</span>', text) == [
        ("pruned-30-int8", "does worse than leaving the picture alone")
    ]


def test_where_all_do_worse_the_cards_say_so(report: Report, pictures: Path) -> None:
    for variant in report.variants:
        variant.gates = []
        variant.metrics["gain_kept"] = METRICS["gain_kept"].measured(-0.1, "")
    cards = cards_of(page(report, pictures))
    assert [card[0] for card in cards] == ["Smallest file", "Fewest MACs", "Fastest (cpu)", "Least loss"]
    assert all(card[-1].endswith("dB, does worse than leaving the picture alone") for card in cards)


def test_without_a_gain_to_keep_the_blurred_input_itself_is_the_measure(report: Report) -> None:
    report.variants[0].metrics["gain_kept"] = METRICS["gain_kept"].lacking("the teacher gains nothing")
    report.variants[0].metrics["psnr_db"] = METRICS["psnr_db"].measured(27.9, "")  # the input has 28 dB
    assert "Worse than leaving the pictures as they are: pruned-30." in summary(report)


def test_the_smallest_file_is_that_of_any_runtime_and_says_what_was_scored(pictures: Path) -> None:
    edge = shipped("edge")
    for variant in edge.variants:
        variant.gates = []
    text = page(edge, pictures)
    assert cards_of(text)[0][1:] == [
        "0.20 MB",
        "-94.7%",
        "edge-int8",
        "on executorch, gain kept 0.335, loss 1.40 dB (scored on aoti)",
    ]
    assert "PSNR and all that is scored: of the file under “File”, for aoti." in text


def test_a_teacher_alone_has_no_legend_of_changes_and_bests(report: Report, tmp_path: Path) -> None:
    legend = "Changes in % are against the teacher"
    assert legend in page(report, tmp_path)
    report.variants = []
    assert legend not in page(report, tmp_path)
    assert "Shaded" not in page(report, tmp_path)
    assert "FLOPs = 2 \N{MULTIPLICATION SIGN} MACs." in page(report, tmp_path)


def test_a_reason_that_is_a_sentence_gets_no_second_full_stop(report: Report, tmp_path: Path) -> None:
    report.variants[2].error = "It failed."
    for variant in (report.teacher, *report.variants):
        variant.latency, variant.missing = [], {"latency": "Nothing runs here."}
    text = page(report, tmp_path)
    assert "Nothing runs here.</p>" in text
    assert "Nothing runs here..</p>" not in text


def test_a_range_has_the_digits_of_its_median(report: Report, pictures: Path) -> None:
    report.variants[0].latency[0].median_ms = 0.22
    report.variants[0].latency[0].p10_ms, report.variants[0].latency[0].p90_ms = 0.2, 0.25
    report.variants[1].latency[0].p10_ms = None
    text = page(report, pictures)
    assert "0.22 ms (p10 0.20, p90 0.25);" in text
    assert "120.0 ms (p10 \N{EN DASH}, p90 132.0);" in text


def test_details_are_drawn_folded_and_said(report: Report, pictures: Path) -> None:
    text = page(report, pictures)
    assert text.count('<svg class="sparkline"') == 2
    assert "0.2 → 0.01667" in text
    assert "<summary>32 entries</summary>" in text
    assert re.search(r"<dt>resumed</dt><dd>\s*no\s*</dd>", text)
    assert "8,000,000,000" in text


def test_every_stage_and_file_of_a_variant_is_named(report: Report, pictures: Path) -> None:
    variant = report.variants[0]
    variant.details = [{"stage": "quantize int8", "a": 1}, {"stage": "export: openvino", "b": 2}, {"c": 3}]
    variant.latency = [variant.latency[0].model_copy(update={"fastest": True}), variant.latency[0]]
    text = page(report, pictures)
    for heading in ("quantize int8", "export: openvino", "stage 3"):
        assert f"<h3>{heading}</h3>" in text
    assert text.count("; the fastest here") == 1


def test_a_report_without_latencies_pictures_and_gates_is_a_page(report: Report, tmp_path: Path) -> None:
    report.run.sample_pictures = []
    for variant in (report.teacher, *report.variants):
        variant.latency, variant.gates = [], []
    text = page(report, tmp_path)
    assert "Fastest" not in text
    assert "Latency" not in text
    assert "<h2>Pictures" not in text


def test_a_report_of_a_teacher_alone_is_a_page(report: Report, tmp_path: Path) -> None:
    report.variants = []
    assert 'scope="row">photos' in page(report, tmp_path)


def test_pruning_says_what_was_asked_and_what_came_of_it(
    report: Report, pictures: Path, prune_details: dict[str, Any]
) -> None:
    report.variants[0].details = [prune_details | {"seconds_taken": 7}]
    text = page(report, pictures)
    assert (
        "Asked for 30.0% less latency; got 25.0% less latency (measured), 42.0% fewer parameters, 35.6% fewer MACs "
        "and 31.0% fewer prunable channels." in text
    )
    assert "<dt>latency, predicted</dt><dd>200 → 140 ms (-30.0%)" in text
    assert "<dt>latency, measured</dt><dd>200 → 150 ms (-25.0%)" in text
    assert "sensitivity, rounded to multiples of 8" in text
    assert "0.58 M parameters, 5.20 G MACs" in text
    assert re.search(r'out\.0, out\.1 <span class="quiet">its channels are those of an output', text)
    assert re.search(r"<dt>seconds_taken</dt><dd>\s*7", text)


def test_a_cut_that_went_the_wrong_way_is_said_so(
    report: Report, pictures: Path, prune_details: dict[str, Any]
) -> None:
    report.variants[0].details = [prune_details | {"measured": {"latency_ms": 210.0, "unpruned_latency_ms": 200.0}}]
    assert "got 5.0% more latency (measured)" in page(report, pictures)


def test_widths_are_a_table_with_what_rounding_changed(
    report: Report, pictures: Path, prune_details: dict[str, Any]
) -> None:
    report.variants[0].details = [prune_details]
    text = page(report, pictures)
    cells = re.findall(
        r"<tr><th scope=\"row\">(.*?)</th><td>(.*?)</td><td.*?>(.*?)</td><td>(.*?)<.*?width: (.*?)%", text
    )
    assert cells == [("head", "64 → 48", "45.5", "75%", "75.0"), ("tail", "32 → 32", "", "100%", "100.0")]
    assert "layers:" not in text
    prune_details["widths"] *= 7
    assert "<summary>14 layers: 672 → 560 channels</summary>" in page(report, pictures)


def test_equal_sensitivity_is_drawn_once_and_names_its_users(
    report: Report, pictures: Path, prune_details: dict[str, Any], curves: dict[str, Any]
) -> None:
    for variant in report.variants[:2]:
        variant.details = [prune_details, {}]
    text = html_page(report, pictures)
    assert "Used to prune pruned-30, pruned-50. " in text
    assert text.count('id="sensitivity-1-map"') == 1
    assert "sensitivity-2" not in text
    report.variants[3].details = [prune_details | {"sensitivity": curves | {"criterion": "l1"}}]
    text = html_page(report, pictures)
    assert re.findall(r"<h3>Curves \d</h3>\s*<p>Used to prune (.*?)\. ", text) == ["pruned-30, pruned-50", "fp16"]
    assert text.count('id="sensitivity-2-map"') == text.count("plotly.js v") == 1


def test_a_report_without_sensitivity_has_no_such_section(
    report: Report, pictures: Path, prune_details: dict[str, Any]
) -> None:
    del prune_details["sensitivity"]
    report.variants[0].details = [prune_details]
    text = page(report, pictures)
    assert "<h2>Sensitivity" not in text
    assert "<dt>sensitivity" not in text


def test_sensitivity_brings_plotly_where_there_is_no_other_plot(
    report: Report, tmp_path: Path, prune_details: dict[str, Any]
) -> None:
    report.variants[0].details = [prune_details]
    for variant in (report.teacher, *report.variants):
        variant.metrics = {}
    text = html_page(report, tmp_path)
    assert "<h2>Trade-off" not in text
    assert text.count("plotly.js v") == 1


def test_hostile_names_of_layers_are_escaped(report: Report, pictures: Path, prune_details: dict[str, Any]) -> None:
    prune_details["widths"][0]["name"] = "<img src=w>"
    prune_details["protected"] = {"<img src=p>": "<img src=r>"}
    prune_details["criterion"] = prune_details["allocation"] = "<img src=c>"
    report.variants[0].details = [prune_details]
    text = page(report, pictures)
    assert "<img src=" not in text.replace('<img src="data:', "")
    assert {part for part in "wprc" if f"&lt;img src={part}&gt;" in text} == set("wprc")


def fact(text: str, title: str) -> list[str]:
    """The lines of one heading of the conditions."""
    found = re.search(rf"<dt>{title}</dt><dd>\n(.*?)</dd>", text, re.DOTALL)
    assert found
    return re.findall(r"<div>(.*?)</div>", found[1])


def test_the_front_is_listed_with_its_values_and_marked(report: Report, pictures: Path) -> None:
    text = page(report, pictures)
    listed = re.search(r'<ul class="front-list">(.*?)</ul>', text, re.DOTALL)
    assert listed
    assert re.findall(r'data-select="(.*?)"', listed[1]) == ["pruned-30", "fp16", "int8", "pruned-30-int8"]
    assert "MACs 8.00 G · File 1.10 MB · PSNR 29.80 dB · Latency 110.0 ms on aoti" in listed[1].replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert "pruned-30-int8 has no Latency ms (cpu): compared over the rest." in text
    marked = [name for name in ("photos", "pruned-30", "pruned-50", "fp16") if '="front"' in row(text, name)]
    assert marked == ["pruned-30", "fp16"]


def test_a_long_front_is_folded(report: Report, pictures: Path) -> None:
    assert " variants</summary>" not in page(report, pictures)
    like = report.variants[0]
    report.variants = [like.model_copy(update={"name": f"variant-{number}"}) for number in range(13)]
    assert '<summary>13 variants</summary><ul class="front-list">' in page(report, pictures).replace("\n", "")


def test_where_no_variant_holds_none_is_named_best(report: Report, pictures: Path) -> None:
    for variant in report.variants:
        for gate in variant.gates:
            gate.passed = False
    text = page(report, pictures)
    assert "No variant is left that failed no gate" in text
    assert 'class="card"' not in text
    assert "front-list" not in text.partition("</style>")[2]


def test_cards_speak_of_gates_only_where_there_are_any(report: Report, pictures: Path) -> None:
    for variant in report.variants:
        variant.gates = []
    text = page(report, pictures)
    assert "Smallest file" in text
    assert "hold" not in text[text.index('class="cards"') : text.index('id="results"')]


def test_conditions_say_on_what_and_with_what_it_was_measured(report: Report, pictures: Path) -> None:
    report.run.conditions.append("Data: photographs & shake")
    text = page(report, pictures)
    assert fact(text, "Data") == [
        "photos, 24 test pairs",
        "scored on the test split: 2 pairs from 1 photograph or sequence",
        "photographs &amp; shake",
    ]
    assert len(fact(text, "Measured how")) == 2
    assert fact(text, "Counted by")[:2] == [
        "params: fvcore, the deployed graph, 1x3x256x256 (photos, pruned-30, pruned-50, fp16, int8, pruned-30-int8, "
        "pruned-50-int8)",
        "macs: fvcore, the deployed graph, 1x3x256x256 (photos, pruned-30, pruned-50, fp16, int8, pruned-30-int8, "
        "pruned-50-int8)",
    ]
    assert fact(text, "Timed with") == ["aoti on cpu: 2 threads, batch 1, 256x256 pixels"]
    assert fact(text, "Machine") == ["processor: Intel Xeon 2 cores"]
    assert fact(text, "Versions") == ["torch 2.13.0, python 3.11.9"]
    assert "lightsharp run classics --out runs/classics" in text


def test_seeds_are_those_that_the_records_name(report: Report, pictures: Path) -> None:
    report.variants[1].details = [{"train": {"seed": 7}}, {"list": [{"seed": 7}]}]
    assert fact(page(report, pictures), "Seeds") == [
        "0 (pruned-30)",
        "7 (pruned-50)",
        "0 for every step that names no other",
    ]


def test_what_the_records_do_not_say_is_said_so(report: Report, pictures: Path) -> None:
    report.run.environment = {}
    for variant in (report.teacher, *report.variants):
        variant.latency = []
    report.teacher.missing["latency"] = "no runtime is installed"
    text = page(report, pictures)
    assert fact(text, "Machine") == ["the record does not say"]
    assert fact(text, "Timed with") == ["nothing was timed: no runtime is installed"]


@pytest.mark.parametrize(
    ("data", "said"), [("photos-partly", "public domain or CC0"), ("text", "rendered"), ("folder", "the user's own")]
)
def test_the_pictures_have_a_licence(data: str, said: str) -> None:
    assert said in picture_licence(data)


def test_every_section_is_linked_once(report: Report, pictures: Path) -> None:
    text = page(report, pictures)
    links = re.findall(r'<li><a href="#([a-z-]+)">', text)
    assert links == re.findall(r'<section[^>]* id="(.*?)"', text)
    assert {"summary", "results", "pictures", "conditions"} <= set(links)
