from pathlib import Path

import pytest

from baseline.errors import UserError
from reports.record import Report, Variant
from reports.recover import Asked, gaps, is_recovered, recovered
from reports.write import write_report
from tests.reports.picture_files import write_picture
from tests.reports.records import shipped, variant_of

CHAINS = {"pruned-30": ["prune params_cut 0.3", "train steps 300"], "int8": ["quantize scheme int8"]}


@pytest.fixture
def demo() -> Report:
    return shipped("demo")


def leave(folder: Path, *variants: Variant) -> Path:
    """A run's folder with these records alone."""
    for variant in variants:
        path = folder / "variants" / variant.name / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text(variant.model_dump_json())
    return folder


def test_what_was_finished_is_reported_and_the_rest_named(demo: Report, tmp_path: Path) -> None:
    folder = leave(tmp_path / "killed", demo.teacher, variant_of(demo, "pruned-30"))
    (folder / "pictures/giraffe").mkdir(parents=True)
    asked = Asked(description="d", data="photos", teacher="photos", chains=CHAINS, fates={"int8": "out of time"})
    report = recovered(folder, asked, {"cpu": "Xeon"})
    assert (report.run.name, report.run.description, report.run.data) == ("killed", "d", "photos")
    assert (report.run.environment, report.run.sample_pictures) == ({"cpu": "Xeon"}, ["giraffe"])
    assert report.teacher == demo.teacher
    done, failed = report.variants
    assert done == variant_of(demo, "pruned-30")
    assert (failed.name, failed.chain, failed.status, failed.error) == ("int8", CHAINS["int8"], "failed", "out of time")
    assert report.run.conditions[0].startswith("Recovered from the records of single variants")
    assert is_recovered(report)
    assert not is_recovered(demo)
    page = write_report(report, folder)[-1].read_text()
    assert "out of time" in page


def test_a_record_that_was_half_written_says_what_is_wrong_with_it(demo: Report, tmp_path: Path) -> None:
    folder = leave(tmp_path, demo.teacher, *demo.variants[:2])
    half = folder / "variants/pruned-30/record.json"
    half.write_text(half.read_text()[:500])
    other = folder / "variants/pruned-50/record.json"
    other.write_text('{"name": "pruned-50", "speed": 1}')
    report = recovered(folder, Asked(chains=CHAINS), {})
    by_name = {variant.name: variant.error for variant in report.variants}
    assert str(by_name["pruned-30"]).startswith("its record cannot be read (Invalid JSON: EOF while parsing")
    assert by_name["pruned-50"] == "its record cannot be read (speed: Extra inputs are not permitted)"
    assert by_name["int8"] == "there is no record of it: the run ended before that was written"


def test_without_a_recipe_the_records_are_all_there_is(demo: Report, tmp_path: Path) -> None:
    folder = leave(tmp_path, demo.teacher, variant_of(demo, "int8"), variant_of(demo, "fp16"))
    report = recovered(folder, Asked(unread="no recipe.yaml"), {})
    assert [variant.name for variant in report.variants] == ["fp16", "int8"]
    assert report.run.conditions[1] == "Variants without a record are not named: no recipe.yaml"


@pytest.mark.parametrize(
    ("content", "said"), [(None, "there is none"), ("{", "its record cannot be read (Invalid JSON")]
)
def test_without_its_teacher_a_run_cannot_be_reported(
    demo: Report, tmp_path: Path, content: str | None, said: str
) -> None:
    folder = leave(tmp_path / "killed", demo.teacher, variant_of(demo, "int8"))
    (folder / "recipe.yaml").write_text("description: d")
    record = folder / "variants/teacher/record.json"
    record.unlink() if content is None else record.write_text(content)
    with pytest.raises(UserError) as caught:
        recovered(folder, Asked(), {})
    assert f"the teacher's record: variants/teacher/record.json; {said}" in str(caught.value)
    assert str(caught.value).endswith(f"Type: lightsharp run {folder}/recipe.yaml --out {folder}")


def test_what_a_folder_lacks_is_named_by_path(demo: Report, tmp_path: Path) -> None:
    demo.variants = demo.variants[:2]
    demo.variants[1].status = "failed"
    demo.run.sample_pictures = ["giraffe"]
    assert gaps(demo, tmp_path) == ["variants/", "pictures/"]
    leave(tmp_path, demo.teacher)
    write_picture(tmp_path / "pictures", "giraffe", "teacher")
    write_picture(tmp_path / "pictures", "giraffe", "sharp")
    lacking = ["pictures/giraffe/blurred.webp", "pictures/giraffe/pruned-30.webp"]
    assert gaps(demo, tmp_path) == ["variants/pruned-30", *lacking]
    (tmp_path / "variants/pruned-30").mkdir()
    (tmp_path / "variants/pruned-30/artifact").symlink_to("../gone")
    assert gaps(demo, tmp_path) == [*lacking, "variants/pruned-30/artifact"]
