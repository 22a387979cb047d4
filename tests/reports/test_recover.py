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
    ("content", "said"),
    [
        (None, "there is no record of it: the run ended before that was written"),
        ("{", "its record cannot be read (Invalid JSON: EOF while parsing an object at line 1 column 1)"),
    ],
)
def test_a_teacher_without_a_record_is_a_row_with_the_reason(
    demo: Report, tmp_path: Path, content: str | None, said: str
) -> None:
    folder = leave(tmp_path, demo.teacher, variant_of(demo, "int8"))
    record = folder / "variants/teacher/record.json"
    record.unlink() if content is None else record.write_text(content)
    report = recovered(folder, Asked(chains=CHAINS), {})
    assert (report.teacher.name, report.teacher.status, report.teacher.error) == ("teacher", "failed", said)
    assert report.variants[1] == variant_of(demo, "int8")
    text = write_report(report, folder)[1].read_text()
    assert said.split("(")[0] in text
    assert "this run did not train the teacher" not in text


def test_before_any_record_the_recipe_says_what_was_asked_for(tmp_path: Path) -> None:
    report = recovered(tmp_path, Asked(chains=CHAINS, fates={"teacher": "'train steps 3' was not finished"}), {})
    assert report.teacher.error == "'train steps 3' was not finished"
    assert [variant.name for variant in report.variants] == list(CHAINS)
    assert not gaps(report, tmp_path)
    with pytest.raises(UserError, match=r"it holds none\. recipe.yaml must be YAML"):
        recovered(tmp_path, Asked(unread="recipe.yaml must be YAML; it is not."), {})


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
