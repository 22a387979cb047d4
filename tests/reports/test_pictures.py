import base64
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from reports.crops import differing_crops
from reports.front import front
from reports.page import html_page
from reports.pictures import Gallery, gallery
from reports.record import Report
from tests.reports.picture_files import drawn, write_picture

ROOM = 10_000_000
COLUMNS = ("blurred", "sharp", "teacher", "pruned-30")
ALL_NAMES = ["pruned-30", "pruned-50", "ds-distilled", "fp16", "int8", "pruned-30-int8", "pruned-50-int8"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for column in COLUMNS:
        write_picture(tmp_path, "eiffelTower", column)
    return tmp_path


def noise(seed: int, size: tuple[int, int] = (256, 192)) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def data_uri(path: Path) -> str:
    return f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode()}"


def figure(text: str, label: str) -> str:
    """The first whole picture with that caption."""
    figures: list[str] = re.findall(r"<figure[ >].*?</figure>", text.partition('<div class="pictures"')[2], re.DOTALL)
    return next(figure for figure in figures if f"<figcaption><b>{label}<" in figure)


def many(report: Report, count: int) -> Report:
    """So many variants: the first two are alone on the front, in this order; the others cost what the teacher does."""
    like = report.variants[0]
    worse = report.variants[3].model_copy(update={"latency": report.teacher.latency})
    better = [like.model_copy(update={"name": f"v{number}"}) for number in range(2)]
    others = [worse.model_copy(update={"name": f"v{number}", "metrics": {}}) for number in range(2, count)]
    return report.model_copy(update={"variants": [*better, *others]})


def labels(found: Gallery, place: int = 0) -> list[str]:
    return [picture.label for picture in found.shots[place].pictures]


def test_pictures_are_embedded_with_their_own_numbers(report: Report, folder: Path) -> None:
    text = html_page(report, folder)
    assert data_uri(folder / "eiffelTower" / "pruned-30.webp") in figure(text, "pruned-30")
    assert "30.40 dB · SSIM 0.9050" in figure(text, "pruned-30")
    assert data_uri(folder / "eiffelTower" / "teacher.webp") in figure(text, "photos")
    assert 'viewBox="0 0 256 192"' in figure(text, "photos")


def test_a_picture_that_has_an_lpips_says_so(report: Report, folder: Path) -> None:
    report.variants[0].pictures[0].lpips = 0.25
    assert "30.40 dB · SSIM 0.9050 · LPIPS 0.2500" in figure(html_page(report, folder), "pruned-30")


def test_a_picture_without_a_file_leaves_a_note(report: Report, folder: Path) -> None:
    text = html_page(report, folder)
    assert "no picture" in figure(text, "int8")
    assert text.count("data:image/webp") == 4


def test_without_any_picture_one_line_says_why(report: Report, tmp_path: Path) -> None:
    text = html_page(report, tmp_path / "pictures")
    section = text[text.index('<section id="pictures"') :].partition("</section>")[0]
    assert re.findall(r"<p.*?>(.*?)</p>", section) == [
        "No pictures: the folder “pictures”, which a run writes beside its report.json, is not there."
    ]
    assert "viewer" not in section and "figure" not in section and "absent" not in section
    (tmp_path / "pictures").mkdir()
    text = html_page(report, tmp_path / "pictures")
    assert "the folder “pictures” beside report.json holds none of the run&#39;s 2 test pictures." in text


def test_a_test_picture_without_any_file_is_only_named(report: Report, folder: Path) -> None:
    found = gallery(report, folder, ROOM)
    assert [shot.name for shot in found.shots] == ["eiffelTower"]
    assert [(left_out.reason, left_out.names) for left_out in found.left_out] == [
        ("There is no file of some test pictures: 1 of 2.", ["giraffe"])
    ]


def test_equal_bytes_are_embedded_once(report: Report, folder: Path) -> None:
    teacher, twin = folder / "eiffelTower" / "teacher.webp", folder / "eiffelTower" / "fp16.webp"
    twin.write_bytes(teacher.read_bytes())
    text = html_page(report, folder)
    assert text.count(data_uri(teacher)) == 1
    assert '<use href="#picture-1-2"/>' in figure(text, "fp16")


@pytest.mark.parametrize("kept", [0, 4, 30, -1])
def test_a_damaged_picture_leaves_a_note(report: Report, folder: Path, kept: int) -> None:
    path = write_picture(folder, "eiffelTower", "int8", noise(0))
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2 if kept < 0 else kept])
    text = html_page(report, folder)
    assert "no picture: the file is damaged" in figure(text, "int8")
    assert "data:image/webp" in figure(text, "pruned-30")


def test_a_picture_in_another_format_is_not_embedded(report: Report, folder: Path) -> None:
    Image.fromarray(drawn(9)).save(folder / "eiffelTower" / "int8.webp", "PNG")
    assert "the file is damaged" in figure(html_page(report, folder), "int8")


@pytest.mark.parametrize(
    "name", ["../outside", "../../outside", "{root}/outside", "sub/inside", "n" * 300, "nul\0", "..", ""]
)
def test_a_variants_name_leads_nowhere_else(report: Report, tmp_path: Path, name: str) -> None:
    for place in (tmp_path, tmp_path / "pictures", tmp_path / "pictures" / "eiffelTower"):
        write_picture(place, ".", "outside")
    write_picture(tmp_path / "pictures", "eiffelTower/sub", "inside")
    name = name.format(root=tmp_path)
    report.variants[0].name = name
    found = gallery(report, tmp_path / "pictures", ROOM)
    assert not any(picture.pixels for shot in found.shots for picture in shot.pictures if picture.label == name)


@pytest.mark.parametrize("name", ["../secret", "..", "{root}/secret", "s" * 300])
def test_a_pictures_name_leads_nowhere_else(report: Report, tmp_path: Path, name: str) -> None:
    write_picture(tmp_path, "secret", "teacher")
    write_picture(tmp_path, ".", "teacher")
    (tmp_path / "pictures").mkdir()
    report.run.sample_pictures = [name.format(root=tmp_path)]
    found = gallery(report, tmp_path / "pictures", ROOM)
    assert not any(picture.pixels for shot in found.shots for picture in shot.pictures)


def test_a_link_that_leads_out_is_not_followed(report: Report, folder: Path, tmp_path: Path) -> None:
    write_picture(tmp_path.parent, tmp_path.name + "-secret", "int8")
    secret = tmp_path.parent / f"{tmp_path.name}-secret" / "int8.webp"
    (folder / "eiffelTower" / "int8.webp").symlink_to(secret)
    assert "no picture" in figure(html_page(report, folder), "int8")


def test_pictures_in_sub_folders_are_found(report: Report, folder: Path) -> None:
    write_picture(folder, "GOPR0384/000001", "teacher")
    report.run.sample_pictures = ["GOPR0384/000001"]
    assert "data:image/webp" in figure(html_page(report, folder), "photos")


def test_hostile_names_of_pictures_are_text(report: Report, folder: Path) -> None:
    hostile = "<img src=x onerror='alert(1)'>\"" + 200 * "w"
    report.run.sample_pictures = ["eiffelTower", hostile]
    report.variants[0].name = hostile
    text = html_page(report, folder)
    assert "<img" not in text
    assert text.count("&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&#34;www") > 2


def test_crops_are_where_the_versions_differ_most() -> None:
    # Two versions that differ by d have a variance of d²/4. Patches of 96 at 8·n: the window is found exactly.
    one = drawn(100, size=(400, 320))
    other = drawn(100, (200, 16, 96, 140), (16, 200, 96, 160), (304, 208, 96, 120), (0, 0, 48, 104), size=(400, 320))
    found = differing_crops([one, other])
    assert [(crop.x, crop.y, crop.width, crop.height) for crop in found] == [
        (16, 200, 96, 96),
        (200, 16, 96, 96),
        (304, 208, 96, 96),
    ]
    assert [crop.deviation for crop in found] == [30, 20, 10]


def test_crops_of_many_versions_are_of_their_variance() -> None:
    versions = [noise(seed) for seed in range(5)]
    for crop in differing_crops(versions):
        window = np.stack(versions)[:, crop.y : crop.y + 96, crop.x : crop.x + 96].astype(float)
        assert crop.deviation == pytest.approx(np.sqrt(window.var(axis=0).mean()))


def test_crops_never_overlap_and_lie_inside() -> None:
    found = differing_crops([noise(0), noise(1)], most=20)
    assert len(found) >= 2
    for place, one in enumerate(found):
        assert one.x + one.width <= 256 and one.y + one.height <= 192
        for other in found[:place]:
            assert abs(one.x - other.x) >= 96 or abs(one.y - other.y) >= 96
    assert found == sorted(found, key=lambda crop: -crop.deviation)


def test_small_pictures_have_smaller_crops_and_equal_ones_none() -> None:
    small = [noise(seed, (50, 20)) for seed in range(2)]
    assert [(crop.width, crop.height) for crop in differing_crops(small)] == [(48, 16)]
    assert differing_crops([noise(0, (7, 100)), noise(1, (7, 100))]) == []
    assert differing_crops([noise(0), noise(0)]) == []
    assert differing_crops([noise(0)]) == []


def test_crops_compare_what_networks_made(report: Report, tmp_path: Path) -> None:
    for column, patch in {
        "blurred": (0, 0, 96, 250),
        "sharp": (0, 0, 96, 0),
        "teacher": (152, 88, 96, 100),
        "int8": (152, 88, 96, 110),
    }.items():
        write_picture(tmp_path, "eiffelTower", column, drawn(60, patch))
    write_picture(tmp_path, "eiffelTower", "fp16", noise(0, (64, 64)))  # of another size: left out
    crop = gallery(report, tmp_path, ROOM).shots[0].crops[0]
    assert (crop.x, crop.y, crop.deviation) == (152, 88, 5)
    text = html_page(report, tmp_path)
    strip = re.findall(r'<svg viewBox="152 88 96 96".*?<use href="#(.*?)"/></svg><figcaption>(.*?)<', text)
    assert strip == [
        ("picture-1-1", "blurred"),
        ("picture-1-2", "photos"),
        ("picture-1-6", "fp16"),
        ("picture-1-7", "int8"),
        ("picture-1-10", "sharp"),
    ]


def test_up_to_twenty_variants_have_all_their_pictures(report: Report, folder: Path) -> None:
    write_picture(folder, "giraffe", "sharp")
    found = gallery(many(report, 20), folder, ROOM)
    assert len(labels(found)) == 20 + 3
    assert found.left_out == []


def test_beyond_twenty_variants_the_front_and_the_named_have_pictures(report: Report, folder: Path) -> None:
    write_picture(folder, "giraffe", "sharp")
    report = many(report, 21)
    assert front(report) == ["v0", "v1"]
    found = gallery(report, folder, ROOM, pictured=["v7"])
    assert labels(found) == ["blurred", "photos", "v0", "v1", "v7", "sharp"]
    assert len(found.left_out) == 1
    assert found.left_out[0].reason.endswith("asked for: 3 of 21 variants.")
    assert found.left_out[0].names == [f"v{number}" for number in (*range(2, 7), *range(8, 21))]
    text = html_page(report, folder, pictured=["v7"])
    assert "With more than 20 variants, pictures are shown only of the front" in text
    assert "<summary>Left out: 18</summary>" in text


def test_what_does_not_fit_is_dropped_from_the_last_picture(report: Report, folder: Path) -> None:
    report.variants = []
    report.run.sample_pictures = ["a", "b", "c"]
    for place, name in enumerate("abc"):
        for column, column_name in enumerate(("blurred", "teacher", "sharp")):
            size = write_picture(folder, name, column_name, noise(10 * place + column)).stat().st_size
    one = 3 * size * 4 // 3  # noise is always as large, but for a few bytes
    assert [shot.name for shot in gallery(report, folder, 4 * one).shots] == ["a", "b", "c"]
    found = gallery(report, folder, int(2.5 * one))
    assert [shot.name for shot in found.shots] == ["a", "b"]
    assert [(left_out.reason, left_out.names) for left_out in found.left_out] == [
        ("To keep this page under 12 MB, the last test pictures are left out: 1 of 3.", ["c"])
    ]
    assert gallery(report, folder, 0).shots == []
    assert gallery(report, folder, 0).left_out[0].names == ["a", "b", "c"]


def test_where_not_even_one_picture_fits_the_named_columns_come_first(report: Report, folder: Path) -> None:
    report.run.sample_pictures = ["a", "b"]
    for seed, column in enumerate(("blurred", "teacher", *ALL_NAMES, "sharp")):
        size = write_picture(folder, "a", column, noise(seed)).stat().st_size
    found = gallery(report, folder, int(5.5 * (size * 4 // 3 + 2000)), pictured=["int8"])
    assert labels(found) == ["blurred", "photos", "pruned-30", "int8", "sharp"]
    assert [left_out.names for left_out in found.left_out] == [
        ["pruned-50", "ds-distilled", "fp16", "pruned-30-int8", "pruned-50-int8"],
        ["b"],
    ]


def test_the_page_stays_below_its_limit(report: Report, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, column in enumerate(("blurred", "teacher", *ALL_NAMES, "sharp")):
        for place, name in enumerate(report.run.sample_pictures):
            write_picture(folder, name, column, noise(100 * place + seed))
    whole = len(html_page(report, folder).encode())
    picture = data_uri(folder / "giraffe" / "sharp.webp")
    for limit in (whole - 1, whole - 12 * len(picture)):
        monkeypatch.setattr("reports.page.PAGE_BYTES", limit)
        text = html_page(report, folder)
        assert limit - 11 * len(picture) < len(text.encode()) <= limit
        assert "the last test pictures are left out: 1 of 2." in text
        assert "<h3>giraffe</h3>" not in text


def test_the_same_files_give_the_same_bytes(report: Report, folder: Path) -> None:
    write_picture(folder, "eiffelTower", "int8", noise(0))
    assert html_page(report, folder) == html_page(report.model_copy(deep=True), folder)
