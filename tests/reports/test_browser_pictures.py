import base64
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from reports.record import Report
from reports.write import write_report
from tests.reports.browser import opened, opened_report
from tests.reports.picture_files import Patch, drawn, write_picture

# Of the first picture; pruned-30 differs from the teacher by 3 and 30 grey levels, pruned-50 by nothing.
PATCHES: dict[str, list[Patch]] = {
    "blurred": [(0, 0, 192, 90)],
    "teacher": [(8, 16, 96, 103), (160, 96, 96, 130)],
    "pruned-30": [],
    "pruned-50": [(8, 16, 96, 103), (160, 96, 96, 130), (0, 0, 1, 101)],
    "sharp": [(0, 0, 1, 255)],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for column, patches in PATCHES.items():
        write_picture(tmp_path / "pictures", "eiffelTower", column, drawn(100, *patches))
    for column in ("blurred", "teacher", "int8", "sharp"):
        shade = len(column)
        write_picture(tmp_path / "pictures", "giraffe", column, drawn(shade, (0, 0, 8, 9 * shade), size=(128, 128)))
    return tmp_path


def sides(page: Page) -> list[str]:
    """What is chosen at the left and at the right."""
    chosen = "select => select.selectedOptions[0].text"
    return [str(page.locator(f"#viewer-{side}").evaluate(chosen)) for side in ("left", "right")]


def window(page: Page) -> list[float]:
    """The part of the picture that is shown: x, y, width, height; the same for both sides."""
    under, over = (page.locator(f"#viewer-{side}").get_attribute("viewBox") for side in ("under", "over"))
    assert under is not None and under == over
    return [float(number) for number in under.split()]


def pixel(page: Page, x: int, y: int) -> list[int]:
    """A pixel of the difference."""
    found: list[int] = page.locator("#viewer-difference").evaluate(
        "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data]", [x, y]
    )
    return found


def seen(page: Page, x: float, y: float) -> list[int]:
    """The colour of the stage at a share of its width and height, as the screen shows it."""
    shot = page.locator("#viewer-stage").screenshot()
    found: list[int] = page.evaluate(
        """async ([bytes, x, y]) => {
            const image = new Image();
            image.src = `data:image/png;base64,${bytes}`;
            await image.decode();
            const [width, height] = [image.width, image.height];
            const canvas = Object.assign(document.createElement("canvas"), { width, height });
            const pen = canvas.getContext("2d");
            pen.drawImage(image, 0, 0);
            return [...pen.getImageData(x * width, y * height, 1, 1).data].slice(0, 3);
        }""",
        [base64.b64encode(shot).decode(), x, y],
    )
    return found


def box(page: Page, selector: str) -> dict[str, float]:
    found = page.locator(selector).bounding_box()
    assert found is not None
    return {"x": found["x"], "y": found["y"], "width": found["width"], "height": found["height"]}


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_viewer_is_accessible_and_nothing_overflows(report: Report, folder: Path, width: int, scheme: str) -> None:
    report.run.sample_pictures[1] = "<img src=x onerror='alert(1)'>\"" + 200 * "w"
    report.variants[0].name = "../" + 200 * "n"
    with opened_report(report, folder, width, scheme) as page:
        for show in (lambda: None, page.locator("#viewer-differ").check, page.locator("#viewer-fold").click):
            show()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            faults = Axe().run(page).response["violations"]
            assert [fault["id"] for fault in faults if fault["impact"] in ("serious", "critical")] == []


def test_it_starts_with_the_blurred_picture_beside_a_variant(report: Report, folder: Path) -> None:
    with opened_report(report, folder) as page:
        assert sides(page) == ["blurred", "pruned-30"]
        assert page.locator("#viewer-left-note").inner_text() == ""
        assert page.locator("#viewer-right-note").inner_text() == "30.40 dB · SSIM 0.9050"
        assert seen(page, 0.3, 0.5) == [90, 90, 90]  # the blurred one's patch
        assert seen(page, 0.7, 0.3) == [100, 100, 100]
        x, y, across, down = window(page)
        assert (x, y) == pytest.approx((0, 0), abs=0.5)
        assert (across, down) == pytest.approx((256, 192), abs=0.5)


def test_any_two_versions_are_compared_and_those_without_a_file_cannot_be_chosen(report: Report, folder: Path) -> None:
    with opened_report(report, folder) as page:
        page.locator("#viewer-left").select_option("photos")
        page.locator("#viewer-right").select_option("sharp")
        assert page.locator("#viewer-left-note").inner_text() == "30.50 dB · SSIM 0.9100"
        assert seen(page, 0.2, 0.3) == [103, 103, 103]
        assert seen(page, 0.8, 0.8) == [100, 100, 100]
        options = page.locator("#viewer-right option")
        assert [options.nth(place).is_disabled() for place in range(options.count())] == [
            name not in ("blurred", "photos", "pruned-30", "pruned-50", "sharp")
            for name in ("blurred", "photos", "pruned-30", "pruned-50", *4 * ["none"], "none", "sharp")
        ]
        assert page.locator("#viewer-right option").nth(4).inner_text() == "ds-distilled: no picture"


def test_another_picture_keeps_the_versions_that_it_has(report: Report, folder: Path) -> None:
    with opened_report(report, folder) as page:
        page.locator("#viewer-left").select_option("sharp")
        page.locator("#viewer-shot").select_option("giraffe")
        assert sides(page) == ["sharp", "int8"]
        assert page.locator("#viewer-right-note").inner_text() == "31.30 dB · SSIM 0.9000"
        stage = box(page, "#viewer-stage")
        assert stage["width"] == pytest.approx(stage["height"], abs=1)
        assert page.locator(".shot:visible h3").all_inner_texts() == ["giraffe"]


def test_the_slider_is_moved_by_keys_and_by_the_mouse(report: Report, folder: Path) -> None:
    with opened_report(report, folder) as page:
        split = page.get_by_label("How much of the left picture")
        assert seen(page, 0.4, 0.8) == [90, 90, 90]
        split.focus()
        page.keyboard.press("Home")
        assert seen(page, 0.4, 0.8) == [100, 100, 100]
        assert split.get_attribute("aria-valuetext") == "0% left"
        page.keyboard.press("End")
        assert seen(page, 0.7, 0.8) == [90, 90, 90]
        split.fill("50")
        stage = box(page, "#viewer-stage")
        middle = stage["y"] + stage["height"] / 3  # anywhere on the bar
        page.mouse.move(stage["x"] + stage["width"] / 2, middle)
        page.mouse.down()
        page.mouse.move(stage["x"] + stage["width"] / 4, middle, steps=4)
        page.mouse.up()
        assert float(split.input_value()) == pytest.approx(25, abs=1)
        assert seen(page, 0.2, 0.8) == [90, 90, 90]
        assert seen(page, 0.4, 0.8) == [100, 100, 100]
        page.get_by_role("button", name="Zoom in").click()
        before = window(page)
        bar = box(page, "#viewer-stage")
        page.mouse.move(bar["x"] + bar["width"] / 4, bar["y"] + bar["height"] / 3)
        page.mouse.down()
        page.mouse.move(bar["x"] + bar["width"] / 3, bar["y"] + bar["height"] / 3, steps=4)
        page.mouse.up()
        assert float(split.input_value()) == pytest.approx(100 / 3, abs=1)
        assert window(page) == before  # the picture stays where it was


def test_both_pictures_zoom_and_move_together(report: Report, folder: Path) -> None:
    with opened_report(report, folder) as page:
        stage = page.locator("#viewer-stage")
        size = box(page, "#viewer-stage")
        page.get_by_role("button", name="1:1").click()
        assert page.locator("#viewer-zoom").inner_text() == "100%"
        assert "large" not in (stage.get_attribute("class") or "")
        assert window(page)[2:] == pytest.approx([size["width"], size["height"]], abs=1)
        page.get_by_role("button", name="Fit").click()
        page.get_by_role("button", name="Zoom in").click()
        assert window(page)[2:] == pytest.approx([256 / 1.5, 192 / 1.5], rel=0.01)
        assert page.locator("#viewer-under").evaluate("svg => getComputedStyle(svg).imageRendering") == "pixelated"
        image = "svg => getComputedStyle(svg.querySelector('use').instanceRoot ?? svg).imageRendering"
        assert page.locator("#viewer-under").evaluate(image) == "pixelated"
        stage.focus()
        before = window(page)
        page.keyboard.press("ArrowRight")
        assert window(page)[0] == pytest.approx(before[0] + before[2] / 8, rel=0.02)
        for _ in range(20):
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowDown")
        x, y, across, down = window(page)
        assert (x + across, y + down) == pytest.approx((256, 192), abs=0.01)  # never beyond the picture
        for _ in range(20):
            page.keyboard.press("+")
        assert page.locator("#viewer-zoom").inner_text() == "3200%"
        page.keyboard.press("0")
        assert window(page)[2] == pytest.approx(256, abs=0.5)
        page.keyboard.press("-")
        assert page.locator("#viewer-zoom").inner_text() != "0%"


def test_dragging_moves_and_the_wheel_zooms_only_with_ctrl(report: Report, folder: Path) -> None:
    with opened_report(report, folder) as page:
        page.get_by_role("button", name="Zoom in").click()
        page.locator("#viewer-stage").scroll_into_view_if_needed()
        size, before = box(page, "#viewer-stage"), window(page)
        x, y = size["x"] + size["width"] / 4, size["y"] + size["height"] / 4
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 30, y + 15, steps=3)
        page.mouse.up()
        zoom = size["width"] / before[2]
        assert window(page)[:2] == pytest.approx([before[0] - 30 / zoom, before[1] - 15 / zoom], abs=0.5)
        page.mouse.move(x, y)
        before = window(page)
        page.keyboard.down("Control")
        page.mouse.wheel(0, -100)
        page.keyboard.up("Control")
        page.wait_for_function(
            f"parseFloat(document.getElementById('viewer-over').getAttribute('viewBox').split(' ')[2]) < {before[2]}"
        )
        after = window(page)
        share = 0.25  # the pixel below the pointer stays below it
        assert after[0] + share * after[2] == pytest.approx(before[0] + share * before[2], abs=0.5)
        page.mouse.wheel(0, -20)
        page.wait_for_timeout(100)
        assert window(page) == after


def test_the_difference_is_that_of_the_pixels_and_names_its_scale(report: Report, folder: Path) -> None:
    with opened_report(report, folder) as page:
        page.locator("#viewer-left").select_option("photos")
        page.locator("#viewer-differ").check()
        legend = page.locator("#viewer-legend")
        for factor, expected in (("1", (3, 30)), ("4", (12, 120)), ("16", (48, 255))):
            page.get_by_label("times").select_option(factor)
            legend.filter(has_text=f"{factor}, each").wait_for()
            assert pixel(page, 50, 60) == [*3 * [expected[0]], 255]
            assert pixel(page, 200, 150) == [*3 * [expected[1]], 255]
            assert pixel(page, 150, 10) == [0, 0, 0, 255]
        mean = 96 * 96 * (3 + 30) / (256 * 192)
        assert f"white: 16 of 255 grey levels apart or more. Here: {mean:.2f} on average, at most 30." in (
            legend.inner_text()
        )
        assert page.locator("#viewer-white").inner_text() == "16 grey levels or more"
        assert not page.locator("#viewer-split").is_visible()
        assert seen(page, 0.3, 0.3) == [48, 48, 48]
        page.locator("#viewer-right").select_option("pruned-50")
        legend.filter(has_text="at most 1.").wait_for()
        assert pixel(page, 0, 0) == [16, 16, 16, 255]
        page.locator("#viewer-differ").uncheck()
        assert page.locator("#viewer-split").is_visible()
        assert not page.locator("#viewer-difference").is_visible()


def test_versions_of_another_size_have_no_difference(report: Report, folder: Path) -> None:
    write_picture(folder / "pictures", "eiffelTower", "pruned-30", drawn(100, size=(64, 64)))
    with opened_report(report, folder) as page:
        page.locator("#viewer-differ").check()
        assert page.locator("#viewer-legend").inner_text().startswith("These two are not of the same size")
        assert page.locator("#viewer-split").is_visible()


def test_a_crops_button_leads_there(report: Report, folder: Path) -> None:
    with opened_report(report, folder) as page:
        assert page.locator("[data-crop]").first.get_attribute("data-crop") == "160 96 96 96"
        page.locator("[data-crop]").first.click()
        x, y, across, down = window(page)
        size = box(page, "#viewer-stage")
        assert down == pytest.approx(96, abs=0.5)  # the stage is wider than high
        assert across == pytest.approx(96 * size["width"] / size["height"], abs=0.5)
        assert (x + across, y) == pytest.approx((256, 96), abs=0.5)  # at the corner: as near as the picture allows
        assert page.evaluate("document.activeElement.id") == "viewer-stage"
        page.get_by_role("button", name="Show all pictures").click()
        page.get_by_role("button", name="View crop 1 of giraffe").click()
        assert page.locator("#viewer-shot").evaluate("select => select.selectedOptions[0].text") == "giraffe"


def test_a_selected_row_is_shown_at_the_right(report: Report, folder: Path) -> None:
    with opened_report(report, folder) as page:
        page.evaluate("lightsharp.selectRow('pruned-50')")
        assert sides(page) == ["blurred", "pruned-50"]
        page.evaluate("lightsharp.selectRow('fp16')")  # has no picture
        assert sides(page) == ["blurred", "pruned-50"]


def test_pictures_are_folded_and_are_all_there_in_print(report: Report, folder: Path) -> None:
    with opened_report(report, folder) as page:
        button = page.locator("#viewer-fold")
        whole = page.locator(".pictures figure:visible")
        assert (whole.count(), button.get_attribute("aria-expanded")) == (0, "false")
        button.click()
        assert (whole.count(), button.get_attribute("aria-expanded")) == (9, "true")
        button.click()
        page.emulate_media(media="print")
        assert whole.count() == 9
        assert page.locator(".shot:visible").count() == 2
        assert not page.locator("#viewer").is_visible()
        assert page.locator("[data-crop]:visible").count() == 0


def test_without_scripts_all_pictures_and_crops_are_there(report: Report, folder: Path) -> None:
    write_report(report, folder)
    file = folder / "report.html"
    file.write_text(re.sub(r"<script.*?</script>", "", file.read_text(encoding="utf-8"), flags=re.DOTALL), "utf-8")
    with opened(file) as page:
        assert page.locator(".pictures figure:visible").count() == 9
        assert page.locator(".strip figure:visible").count() > 8
        assert not page.locator("#viewer").is_visible()
        drawn_here = page.locator(".strip figure svg").nth(1).bounding_box()
        assert drawn_here is not None and drawn_here["height"] == pytest.approx(drawn_here["width"], abs=1)


def test_a_page_without_any_picture_has_no_viewer(report: Report, tmp_path: Path) -> None:
    with opened_report(report, tmp_path) as page:
        assert page.locator("#viewer").count() == 0
        assert page.locator("#pictures").inner_text().count("\n") < 3


def test_what_has_no_file_is_named_in_one_line(report: Report, folder: Path) -> None:
    with opened_report(report, folder) as page:
        assert page.locator(".pictures .absent:visible").count() == 0
        lines = page.locator(".shot > p").all_inner_texts()
        assert lines[0] == "No picture: ds-distilled, fp16, int8, pruned-30-int8, pruned-50-int8."
