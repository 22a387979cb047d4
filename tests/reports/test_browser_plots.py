from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from baseline.measurement import METRICS
from reports.record import Report
from reports.write import write_report
from tests.reports.browser import opened

LATENCY = "latency (aoti, cpu)"
BOXES = "els => els.map(e => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; })"


def written(report: Report, folder: Path) -> Path:
    write_report(report, folder)
    return folder / "report.html"


def traces(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(
        "document.getElementById('tradeoff').data.map(t => ({x: t.x, y: t.y, names: t.customdata, meta: t.meta,"
        " symbol: t.marker?.symbol, text: t.text}))"
    )
    return found


def places(page: Page) -> dict[str, list[float]]:
    """Every network's place on the axes that are shown."""
    return {
        name: [x, y]
        for trace in traces(page)
        if trace["names"]
        for name, x, y in zip(trace["names"], trace["x"], trace["y"], strict=True)
    }


def many(report: Report, count: int) -> Report:
    """So many variants, spread along a curve and below it, with long names."""
    like = report.variants[4]
    variants = []
    for i in range(count):
        variant = like.model_copy(deep=True, update={"name": f"variant-{i:03}-of-a-rather-long-name", "gates": []})
        share = (i + 1) / count
        kept = share**0.5 - 0.3 * (i % 5) / 5
        variant.metrics["gain_kept"] = METRICS["gain_kept"].measured(kept, "")
        variant.latency[0].median_ms = 200 * share
        variant.latency[0].p10_ms, variant.latency[0].p90_ms = 190 * share, 210 * share
        variants.append(variant)
    return report.model_copy(update={"variants": variants})


def overlapping(boxes: list[list[float]]) -> int:
    return sum(
        min(a[2], b[2]) - max(a[0], b[0]) > 2 and min(a[3], b[3]) - max(a[1], b[1]) > 4
        for a, b in combinations(boxes, 2)
    )


def test_the_axes_can_be_chosen(report: Report, tmp_path: Path) -> None:
    with opened(written(report, tmp_path)) as page:
        assert places(page)["int8"] == [110.0, 0.9]
        assert "pruned-30-int8" not in places(page)
        assert "int8 needs AVX512-VNNI" in (page.text_content("#plot-missing") or "")
        page.get_by_label("against", exact=True).select_option("file_mb")
        page.get_by_label("Quality", exact=True).select_option("psnr_loss_db")
        assert places(page)["pruned-30-int8"] == [0.8, 0.25]
        y_range = page.evaluate("document.getElementById('tradeoff')._fullLayout.yaxis.range")
        assert y_range[0] > y_range[1]
        front = next(trace for trace in traces(page) if trace["meta"] == "front")
        assert front["x"] == [0.8, 1.1, 2.0]


def test_looks_tell_teacher_and_failed_gates_and_psnr_has_the_blurred_input(report: Report, tmp_path: Path) -> None:
    with opened(written(report, tmp_path)) as page:
        symbols = {trace["symbol"]: trace["names"] for trace in traces(page) if trace["names"]}
        assert symbols["diamond"] == ["photos"]
        assert symbols["circle-open"] == ["pruned-50", "pruned-50-int8"]
        assert page.locator("#tradeoff .annotation-text").count() == 0
        page.get_by_label("Quality", exact=True).select_option("psnr_db")
        assert page.text_content("#tradeoff .annotation-text") == "blurred input 28.00 dB"


def test_a_click_selects_the_row_and_a_selected_row_is_ringed(report: Report, tmp_path: Path) -> None:
    with opened(written(report, tmp_path)) as page:
        page.locator("#tradeoff").scroll_into_view_if_needed()
        box = page.locator("#tradeoff .trace:has(path[style*='221, 138, 31']) .points path").first.bounding_box()
        assert box
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_selector("tr.selected")
        assert page.get_attribute("tr.selected", "data-name") == "photos"
        page.evaluate("window.lightsharp.selectRow('int8')")
        ring = next(trace for trace in traces(page) if trace["meta"] == "selected")
        assert [ring["x"], ring["y"]] == [[110.0], [0.9]]
        shapes = [
            page.evaluate(f"document.getElementById('{i}').layout.shapes.length")
            for i in ("latency", "loss-by-picture")
        ]
        assert shapes == [1, 1]


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("count", [1, 12, 50, 200])
def test_labels_do_not_cover_each_other(report: Report, tmp_path: Path, width: int, count: int) -> None:
    with opened(written(many(report, count), tmp_path), width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = [box for box in page.eval_on_selector_all("#tradeoff .textpoint text", BOXES) if box[2] > box[0]]
        assert boxes
        assert overlapping(boxes) == 0
        front = page.evaluate("JSON.parse(document.getElementById('plots-data').textContent).tradeoff.fronts")
        labels = page.eval_on_selector_all("#tradeoff .textpoint text", "els => els.map(e => e.textContent)")
        known = {name[:23] for name in front[f"{LATENCY}|gain_kept"]}
        assert count < 15 or {label[:23] for label in labels if label} <= known
        names = page.eval_on_selector_all("#latency .yaxislayer-above text, #latency .ytick text", BOXES)
        assert len(names) >= count
        assert overlapping(names) == 0


def test_long_names_of_machines_are_not_cut_on_a_phone(report: Report, tmp_path: Path) -> None:
    for variant in (report.teacher, *report.variants):
        variant.latency = [row.model_copy(update={"machine": "Intel(R) Xeon(R) Processor"}) for row in variant.latency]
    with opened(written(report, tmp_path), 390) as page:
        [[left, _, right, bottom]] = page.eval_on_selector_all("#tradeoff .xtitle", BOXES)
        [[inner_left, _, inner_right, inner_bottom]] = page.eval_on_selector_all(
            "#tradeoff .main-svg:first-child", BOXES
        )
        assert page.locator("#tradeoff .xtitle tspan").count() == 2
        assert inner_left <= left and right <= inner_right and bottom <= inner_bottom
        [[left, _, right, _]] = page.eval_on_selector_all("#plot-x", BOXES)
        assert right - left > 350 and right <= 390 - 16


def test_no_zero_of_a_mean_has_a_sign(report: Report, tmp_path: Path) -> None:
    report.variants[0].pictures = [
        row.model_copy(update={"psnr_db": row.psnr_db + 0.001}) for row in report.teacher.pictures
    ]
    with opened(written(report, tmp_path)) as page:
        hovers = page.evaluate("document.getElementById('loss-by-picture').data[1].hovertext")
        assert hovers[0].endswith("mean 0.00 dB lost")


def test_text_is_readable_in_every_theme(report: Report, tmp_path: Path) -> None:
    with opened(written(report, tmp_path), scheme="dark") as page:
        fill = "getComputedStyle(document.querySelector('#latency .textpoint text')).fill"
        assert page.evaluate(fill) == "rgb(231, 234, 237)"
        page.evaluate("document.documentElement.dataset.theme = 'light'")
        assert page.evaluate(fill) == "rgb(28, 33, 38)"


def test_hostile_names_are_text(report: Report, tmp_path: Path) -> None:
    hostile = "<b><img src=x>"
    for variant in (report.teacher, *report.variants):
        variant.name = f"{hostile}{variant.name}"
        variant.chain = ["</script><script>throw 1</script>"]
        for row in variant.latency:
            row.runtime = hostile
        for picture in variant.pictures:
            picture.name = f"{hostile}{picture.name}"
    with opened(written(report, tmp_path)) as page:
        assert page.locator("img[src='x']").count() == 0
        labels = page.eval_on_selector_all("#tradeoff .textpoint text", "els => els.map(e => e.textContent)")
        assert any(label == "<b><img src=x>photos" for label in labels)
        page.evaluate("Plotly.Fx.hover('tradeoff', [{curveNumber: 1, pointNumber: 0}])")
        assert page.locator("img[src='x']").count() == 0


def test_without_latency_and_pictures_there_is_no_empty_box(report: Report, tmp_path: Path) -> None:
    for variant in (report.teacher, *report.variants):
        variant.latency, variant.pictures = [], []
    with opened(written(report, tmp_path)) as page:
        assert page.locator(".plot.drawn").count() == 1
        assert page.locator("#plot-x option").count() == 3
        assert "Nothing was timed" in (page.text_content("#plots") or "")


def test_a_printed_page_has_plots_as_wide_as_paper(report: Report, tmp_path: Path) -> None:
    with opened(written(report, tmp_path)) as page:
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate("document.getElementById('tradeoff')._fullLayout.width") == 660
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.evaluate("document.getElementById('tradeoff')._fullLayout.width") > 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_heat_and_tables_can_be_read(
    report: Report, tmp_path: Path, scheme: str, prune_details: dict[str, Any]
) -> None:
    prune_details["widths"][0]["after"] = 1
    report.variants[0].details = [prune_details, {"scheme": "int8", "quantized": ["a"], "in_float": {"b": "why"}}]
    with opened(written(report, tmp_path), 390, scheme) as page:
        faults = [
            (fault["id"], [node["target"] for node in fault["nodes"]][:3])
            for fault in Axe().run(page).response["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
        assert faults == []
