from itertools import pairwise
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from reports.latex import latex_table
from reports.merge import merge
from reports.record import Report
from reports.text import csv_text, markdown_table
from tests.reports.browser import opened_report
from tests.reports.records import shipped

ORDER = ["blurred input", "photos", "pruned-30", "pruned-50", "ds-distilled", "fp16", "int8", "pruned-30-int8"]
ORDER += ["pruned-50-int8"]
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


def names(page: Page) -> list[str]:
    """The rows that are shown, in their order."""
    rows = page.locator("#results-table tbody tr:not([hidden])")
    found: list[str] = rows.evaluate_all("rows => rows.map(row => row.dataset.name)")
    return found


def serious(page: Page) -> list[object]:
    """What axe finds serious or worse."""
    return [
        (fault["id"], fault["impact"], [node["target"] for node in fault["nodes"]][:3])
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_loads_and_nothing_overflows(report: Report, tmp_path: Path, width: int, scheme: str) -> None:
    with opened_report(report, tmp_path, width, scheme) as page:
        assert page.title().startswith(report.run.name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious(page) == []
        page.locator("#table-columns summary").click()
        page.evaluate("lightsharp.selectRow('int8')")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious(page) == []


def test_headings_sort_the_better_way_first_with_dashes_last(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path) as page:
        heading = "#results-table thead th[data-title='%s']"
        file, psnr = page.locator(heading % "File MB"), page.locator(heading % "PSNR dB")
        file.locator("button").click()
        assert file.get_attribute("aria-sort") == "ascending"
        assert names(page)[:3] == ["pruned-50-int8", "pruned-30-int8", "int8"]  # 0.6, 0.8, 1.1
        assert names(page)[-2:] == ["blurred input", "ds-distilled"]
        file.locator("button").click()
        assert file.get_attribute("aria-sort") == "descending"
        assert names(page)[:2] == ["photos", "pruned-30"]  # 4.0, 2.8
        assert names(page)[-2:] == ["blurred input", "ds-distilled"]
        psnr.locator("button").click()
        assert (file.get_attribute("aria-sort"), psnr.get_attribute("aria-sort")) == (None, "descending")
        assert names(page)[:3] == ["photos", "fp16", "pruned-30"]
        psnr.locator("button").click()
        psnr.locator("button").click()
        assert psnr.get_attribute("aria-sort") is None
        assert names(page) == ORDER


def test_latencies_sort_as_numbers_and_by_the_keyboard(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path) as page:
        page.locator("#results-table thead th[data-title^='Latency'] button").focus()
        page.keyboard.press("Enter")
        assert names(page)[:4] == ["pruned-50-int8", "int8", "pruned-50", "pruned-30"]  # 80, 110, 120, 150
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Space")  # the file
        assert names(page)[0] == "pruned-50-int8"
        assert "Sorted by File MB, ascending." in page.locator("#table-status").inner_text()


def test_names_sort_with_their_numbers(report: Report, tmp_path: Path) -> None:
    for variant, name in zip(report.variants, ["v10", "v9", "v100"], strict=False):
        variant.name = name
    with opened_report(report, tmp_path) as page:
        page.locator("#results-table thead th button").first.click()
        assert [name for name in names(page) if name.startswith("v")] == ["v9", "v10", "v100"]


def test_the_filter_looks_at_name_steps_and_status(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path) as page:
        field = page.locator("#table-filter")
        for text, expected in {
            "PRUNED int8": ["pruned-30-int8", "pruned-50-int8"],
            "distill:": ["ds-distilled"],
            "gate failed": ["pruned-50", "pruned-50-int8"],
            "front int8": ["int8", "pruned-30-int8"],
            "nothing": [],
            "": ORDER,
        }.items():
            field.fill(text)
            assert names(page) == expected


def test_columns_are_hidden_and_shown_by_their_boxes(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path) as page:
        page.locator("#table-columns summary").focus()
        page.keyboard.press("Enter")
        page.get_by_label("FLOPs").uncheck()
        shown = page.locator("#results-table th[scope=col]:visible").all_inner_texts()
        assert len(shown) == 10
        assert not any("FLOPs" in text for text in shown)
        assert page.locator("#results-table tr[data-name=int8] > :visible").count() >= 10
        assert page.get_by_text("16.00 G").locator("visible=true").count() == 0
        page.get_by_label("FLOPs").check()
        assert page.get_by_text("16.00 G").locator("visible=true").count() > 0
        page.keyboard.press("Escape")
        assert not page.get_by_label("FLOPs").is_visible()


def test_the_texts_that_are_copied_are_those_of_the_other_files(report: Report, tmp_path: Path) -> None:
    report.variants[0].name = "</script><b>&'\""
    with opened_report(report, tmp_path) as page:
        for name, text in {"Markdown": markdown_table, "CSV": csv_text, "LaTeX": latex_table}.items():
            page.get_by_role("button", name=name).click()
            page.get_by_text(f"Copied as {name}.").wait_for()
            assert page.evaluate("navigator.clipboard.readText()") == text(report)
        assert not page.locator("#table-copy").is_visible()


def test_what_is_copied_is_what_is_shown_in_the_order_shown(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path) as page:
        page.locator("#table-filter").fill("prune")
        page.locator("#table-columns summary").click()
        for label in page.locator("#table-columns label").all()[2:]:  # all but Params and MACs
            label.locator("input").uncheck()
        page.keyboard.press("Escape")
        page.locator("#results-table thead th[data-title=Params] button").click()
        copied = {}
        for name in ("Markdown", "CSV", "LaTeX"):
            button = page.get_by_role("button", name=name)
            assert button.get_attribute("title") == (
                f"Copy the rows and columns that are shown, in the order shown, as {name}"
            )
            button.click()
            page.get_by_text(f"Copied as {name}: 4 of 9 rows, 3 of 11 columns.").wait_for()
            copied[name] = page.evaluate("navigator.clipboard.readText()")
    assert copied["Markdown"].split("\n\n")[0].splitlines() == [
        "| Variant | Params | MACs |",
        "| :-- | --: | --: |",
        "| pruned-50 ✗ gate failed | 0.50 M (-50.0%) | 4.10 G (-48.8%) |",
        "| pruned-50-int8 ✗ gate failed | 0.50 M (-50.0%) | 4.10 G (-48.8%) |",
        "| pruned-30 | 0.70 M (-30.0%) | 5.60 G (-30.0%) |",
        "| pruned-30-int8 | 0.70 M (-30.0%) | 5.60 G (-30.0%) |",
    ]
    assert copied["CSV"].splitlines()[:2] == [
        "name,role,status,params,macs,missing",
        "pruned-50,variant,gate failed,500000,4100000000,",
    ]
    assert "\\begin{tabular}{lrr}\n\\toprule\nVariant & Params" in copied["LaTeX"]
    assert "\nblurred" not in copied["LaTeX"]


def test_where_the_clipboard_is_refused_the_text_can_be_taken_by_hand(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path) as page:
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')) }")
        page.get_by_role("button", name="CSV").click()
        page.locator("#table-copy").wait_for()
        assert page.locator("#table-copy").input_value() == csv_text(report)
        assert page.evaluate("getSelection().toString()") == csv_text(report)


def test_a_row_is_selected_by_name_by_click_by_key_and_by_link(report: Report, tmp_path: Path) -> None:
    report.variants[1].name = "</b>\"it's"
    with opened_report(report, tmp_path) as page:
        page.evaluate("document.addEventListener('lightsharp:select', e => (window.told ??= []).push(e.detail.name))")
        selected = page.locator("#results-table tr.selected")
        page.locator("#table-filter").fill("fp16")
        assert page.evaluate("""lightsharp.selectRow("</b>\\"it's")""") is True
        assert selected.get_attribute("data-name") == "</b>\"it's"
        assert names(page)[3] == "</b>\"it's"  # the filter would have hidden it
        assert selected.evaluate("row => row.getBoundingClientRect().top < innerHeight")
        page.locator("tr[data-name=fp16] td").nth(2).click()
        assert selected.get_attribute("data-name") == "fp16"
        page.locator("tr[data-name=int8] th button").focus()
        page.keyboard.press("Enter")
        assert selected.get_attribute("aria-current") == "true"
        page.locator(".front-list a[data-select='pruned-30']").click()
        assert selected.get_attribute("data-name") == "pruned-30"
        assert page.evaluate("lightsharp.selectRow('nobody')") is False
        assert page.evaluate("told") == ["</b>\"it's", "fp16", "int8", "pruned-30"]


def test_the_theme_is_chosen_and_remembered(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path, scheme="dark") as page:
        dark = page.evaluate(BACKGROUND)
        page.get_by_label("Theme").select_option("light")
        light = page.evaluate(BACKGROUND)
        assert light != dark
        page.reload()
        assert page.get_by_label("Theme").input_value() == "light"
        assert page.evaluate(BACKGROUND) == light
        page.emulate_media(media="print")
        assert not page.get_by_label("Theme").is_visible()
        page.emulate_media(media="screen", color_scheme="light")
        page.get_by_label("Theme").select_option("dark")
        assert page.evaluate(BACKGROUND) == dark
        page.emulate_media(media="print")
        assert page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
        page.emulate_media(media="screen", color_scheme="dark")
        page.get_by_label("Theme").select_option("auto")
        assert page.evaluate(BACKGROUND) == dark


def test_the_theme_works_where_nothing_can_be_remembered(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path) as page:
        page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('no') } })")
        page.reload()
        light = page.evaluate(BACKGROUND)
        page.get_by_label("Theme").select_option("dark")
        assert page.evaluate(BACKGROUND) != light


def test_the_first_key_leads_to_the_content_and_links_to_every_section(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path) as page:
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Skip to the content"
        assert page.locator(":focus").evaluate("link => link.getBoundingClientRect().top >= 0")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        links = page.locator("nav.contents a")
        assert links.all_inner_texts() == page.locator("main > section > h2").all_inner_texts()
        targets = links.evaluate_all("all => all.map(a => document.querySelector(a.hash)?.tagName)")
        assert targets == ["SECTION"] * links.count()
        assert links.first.inner_text() == "Summary"


def test_head_and_first_column_stay_in_view(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path, 390) as page:
        box = page.locator("[aria-label='Results table']")
        box.evaluate("box => { box.style.maxHeight = '300px'; box.scrollTo(200, 200); }")
        inner = box.bounding_box()
        head = page.locator("#results-table thead th").first.bounding_box()
        name = page.locator("tr[data-name=fp16] th").bounding_box()
        assert inner is not None and head is not None and name is not None
        assert abs(head["x"] - inner["x"]) < 2 and abs(head["y"] - inner["y"]) < 2
        assert abs(name["x"] - inner["x"]) < 2


def test_a_wide_window_shows_the_columns_of_two_machines(tmp_path: Path) -> None:
    merged = merge([(name, shipped(name)) for name in ("demo", "edge")])
    with opened_report(merged, tmp_path) as page:
        box = page.locator("[aria-label='Results table']")
        assert box.evaluate("box => box.scrollWidth - box.clientWidth") == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1440


def test_what_is_out_of_view_is_announced(tmp_path: Path) -> None:
    merged = merge([(name, shipped(name)) for name in ("demo", "edge", "students")])
    with opened_report(merged, tmp_path, 1000) as page:
        box, cue = page.locator("[aria-label='Results table']"), page.locator("#results .cue")
        edges = page.locator("#results .edges")
        total = page.locator("#results-table thead th").count()
        shown = box.evaluate(
            "box => [...box.querySelectorAll('thead th')].filter(th => th.getBoundingClientRect().right"
            " <= box.getBoundingClientRect().right).length"
        )
        assert cue.inner_text().startswith(f"More columns: {total - shown} →; rows: ")
        assert cue.inner_text().endswith(" ↓")
        fade = "edges => getComputedStyle(edges, '::after').backgroundImage"
        assert "gradient" in edges.evaluate(fade)
        box.focus()
        page.keyboard.press("End")
        box.evaluate("box => box.scrollTo(box.scrollWidth, box.scrollHeight)")
        page.locator("#results .edges:not(.more-right)").wait_for()
        assert edges.evaluate(fade) == "none"
        assert "→" not in cue.inner_text() and "↓" not in cue.inner_text()
        assert "←; rows: " in cue.inner_text() and "↑" in cue.inner_text()
        inner, name = box.bounding_box(), page.locator("tr[data-name=edge] th").bounding_box()
        assert inner is not None and name is not None and abs(name["x"] - inner["x"]) < 2


def test_what_does_not_scroll_says_nothing_of_it(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path) as page:
        assert page.locator("#results .frame").count() == 1
        assert not page.locator("#results .cue").is_visible()
        page.locator("#results .scroll").evaluate("box => { box.style.maxHeight = '200px'; }")
        page.locator("#results .cue").wait_for()
        page.emulate_media(media="print")
        assert not page.locator("#results .cue").is_visible()


def test_the_line_above_a_table_stays_one_line(tmp_path: Path) -> None:
    merged = merge([(name, shipped(name)) for name in ("demo", "edge", "students")])
    with opened_report(merged, tmp_path, 390) as page:
        cue = page.locator("#results .cue")
        lines = [cue.bounding_box()]
        page.locator("[aria-label='Results table']").evaluate("box => box.scrollTo(400, 60)")
        page.get_by_text("←").first.wait_for()
        lines.append(cue.bounding_box())
        assert lines[0] == lines[1] is not None
        assert cue.evaluate("cue => cue.scrollWidth <= cue.clientWidth")


def test_the_head_of_a_table_is_not_tall_on_a_phone(tmp_path: Path) -> None:
    merged = merge([(name, shipped(name)) for name in ("demo", "edge")])
    with opened_report(merged, tmp_path, 390) as page:
        head = page.locator("#results-table thead").bounding_box()
        assert head is not None and head["height"] < 80


def test_a_paragraph_keeps_its_distance_from_the_notes_above_it(report: Report, tmp_path: Path) -> None:
    for variant in report.variants:
        for gate in variant.gates:
            gate.passed = False
    with opened_report(report, tmp_path) as page:
        boxes = page.locator("#summary > *").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect()).map(b => [b.top, b.bottom])"
        )
        assert len(boxes) == 4
        assert min(below[0] - above[1] for above, below in pairwise(boxes)) >= 10
