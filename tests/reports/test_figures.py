import re

import pytest

from reports.figures import sparkline, tradeoff_html
from reports.record import Report


def test_every_measured_network_is_a_point_with_its_spread(report: Report) -> None:
    text = tradeoff_html(report)
    assert re.findall(r'"text":\["([^"]*)"\]', text) == [
        "photos",
        "pruned-30",
        "pruned-50",
        "fp16",
        "int8",
        "pruned-50-int8",
    ]
    int8 = re.search(r'"error_x":\{"array":\[([\d.]+)\],"arrayminus":\[([\d.]+)\][^{}]*\}[^{}]*int8', text)
    assert int8
    assert [float(part) for part in int8.groups()] == pytest.approx([11.0, 5.5])
    assert '"x":[110.0],"y":[29.8]' in text


def test_teacher_and_failed_gates_look_different(report: Report) -> None:
    assert re.findall(r'"symbol":"([^"]*)"', tradeoff_html(report)) == [
        "diamond",
        "circle",
        "circle-open",
        "circle",
        "circle",
        "circle-open",
    ]


def test_the_blurred_input_is_a_line(report: Report) -> None:
    assert "blurred input 28.00 dB" in tradeoff_html(report)
    report.run.blurred_psnr_db = None
    assert "blurred input" not in tradeoff_html(report)


def test_hover_says_chain_parameters_and_gain(report: Report) -> None:
    text = tradeoff_html(report)
    for part in ("prune: {params_cut: 0.3}", "0.70 M params", "gain kept 0.950", "150.00 ms (p10 142.50, p90 165.00)"):
        assert part in text


def test_without_latencies_macs_are_the_cost_and_the_title_says_so(report: Report) -> None:
    for variant in report.variants:
        variant.latency = []
    text = tradeoff_html(report)
    assert "Quality against MACs (no variant has a latency)" in text
    assert '"x":[8000000000.0],"y":[30.0]' in text
    assert '"x":[5600000000.0],"y":[29.75]' in text


def test_nothing_to_draw_is_nothing(report: Report) -> None:
    for variant in (report.teacher, *report.variants):
        variant.metrics = {}
    assert tradeoff_html(report) == ""


def test_hostile_names_are_escaped(report: Report) -> None:
    report.variants[0].name = "<img onerror=1>"
    report.variants[0].chain = ["</script><b>x"]
    text = tradeoff_html(report)
    assert text.count("</script>") == 1
    assert "<img" not in text
    assert "\\u003cimg" not in text
    assert "\\u003cb\\u003ex" not in text
    assert "&lt;img onerror=1&gt;" in text


def test_labels_of_close_points_do_not_cover_each_other(report: Report) -> None:
    first, second = report.variants[0], report.variants[3]
    second.latency = first.latency
    second.metrics["psnr_db"] = first.metrics["psnr_db"]
    places = re.findall(r'"textposition":"([^"]*)"', tradeoff_html(report))
    assert places[1] != places[3]


def test_a_label_without_room_is_left_out(report: Report) -> None:
    report.variants += [report.variants[0].model_copy(update={"name": f"copy-{i}"}) for i in range(12)]
    text = tradeoff_html(report)
    assert 1 <= text.count('"text":[""]') <= 12
    assert "<b>copy-11" in text.replace("\\u003c", "<").replace("\\u003e", ">")


def test_the_same_report_gives_the_same_bytes(report: Report) -> None:
    assert tradeoff_html(report) == tradeoff_html(report.model_copy(deep=True))


def test_a_sparkline_runs_from_left_to_right_and_high_is_up() -> None:
    assert 'points="1.0,1.0 60.0,12.0 119.0,23.0"' in sparkline([2.0, 1.0, 0.0])


def test_a_sparkline_needs_two_finite_values() -> None:
    assert sparkline([1.0, float("nan")]) == ""
