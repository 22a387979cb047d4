import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from baseline.errors import UserError
from reports.record import Report
from reports.write import read_report, write_report, write_views
from tests.reports.picture_files import write_picture


def test_a_written_report_reads_back_equal(report: Report, tmp_path: Path) -> None:
    paths = write_report(report, tmp_path / "demo")
    assert [path.name for path in paths] == [f"report.{end}" for end in ("json", "md", "csv", "tex", "html")]
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == sorted(path.name for path in paths)
    assert read_report(tmp_path / "demo") == report


def test_writing_twice_gives_the_same_bytes(report: Report, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_report(report, tmp_path)]
    assert [path.read_bytes() for path in write_report(report, tmp_path)] == first


def test_pictures_come_from_the_folder(report: Report, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "pictures", "giraffe", "int8")
    write_report(report, tmp_path)
    assert base64.b64encode(path.read_bytes()).decode() in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_failure_leaves_the_old_report_whole(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(report, tmp_path)
    before = (tmp_path / "report.json").read_bytes()

    def full_disk(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    report.run.name = "other"
    with pytest.raises(OSError, match="no space left"):
        write_report(report, tmp_path)
    assert (tmp_path / "report.json").read_bytes() == before


def test_a_folder_without_a_report_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_report(tmp_path / "demo")
    assert str(caught.value) == (
        f"{tmp_path}/demo must be a run's folder with report.json; there is none. There is no recipe.yaml beside "
        "it, so take the file from where the folder came from."
    )


def test_a_broken_report_names_the_first_fault_on_one_line(report: Report, tmp_path: Path) -> None:
    content = json.loads(report.model_dump_json())
    del content["run"]["data"]
    (tmp_path / "report.json").write_text(json.dumps(content))
    (tmp_path / "recipe.yaml").touch()
    with pytest.raises(UserError) as caught:
        read_report(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/report.json must be a valid report; run.data: Field required. "
        f"Type: lightsharp run {tmp_path}/recipe.yaml --out {tmp_path}"
    )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("int8", "'int8' is that of several"),
        ("", "one has none"),
        (" ", "one has none"),
        ("teacher", "'teacher' is taken: blurred, photos, sharp, teacher are the program's"),
        ("photos", "'photos' is taken: "),
        ("sharp", "'sharp' is taken: "),
    ],
)
def test_names_that_do_not_tell_rows_apart_are_refused(report: Report, tmp_path: Path, name: str, fault: str) -> None:
    report.variants[0].name = name
    write_report(report, tmp_path)
    with pytest.raises(UserError, match=rf"report.json must give every variant a name of its own; {fault}"):
        read_report(tmp_path)


def test_the_views_leave_the_record_as_it_is(report: Report, tmp_path: Path) -> None:
    paths = write_views(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"report.{end}" for end in ("csv", "html", "md", "tex")]
    assert sorted(paths) == sorted(tmp_path.iterdir())


def test_half_a_file_is_a_users_error(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"run": {')
    with pytest.raises(UserError, match="must be a valid report; the file: Invalid JSON"):
        read_report(tmp_path)


def test_reports_never_import_torch_or_opencv() -> None:
    code = (
        "import sys, reports.table, reports.figures, reports.page, reports.write;"
        "print([name for name in ('torch', 'cv2') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
