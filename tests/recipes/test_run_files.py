"""What was finished in a run's folder is kept until the run that goes on there is finished, too."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipes import runner
from recipes.cli import main
from recipes.recovery import read_run
from recipes.run_files import drop_variants_, link_
from recipes.run_log import RunLog
from recipes.schema import read_recipe
from reports.record import Report
from reports.recover import is_recovered
from tests.reports.records import shipped

RECIPE, CONTENT = read_recipe("demo")


class Stand:
    """A run that has its report at once, or is interrupted after it dropped what was there."""

    ends = True
    none_was_made = None

    def __init__(self, _recipe: Any, _name: str, out: Path, *_: Any) -> None:
        self.out, self.environment, self.log = out, {"cpu": "one"}, RunLog(out)

    def go(self) -> Report:
        drop_variants_(self.out)
        report = shipped("demo")
        teacher = self.out / "variants/teacher"
        teacher.mkdir(parents=True)
        (teacher / "record.json").write_text(report.teacher.model_dump_json())
        link_(teacher / "artifact", self.out.parent / ".store/key")
        if not self.ends:
            raise KeyboardInterrupt
        return report


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run, its pictures and its artifact in the store."""
    monkeypatch.setattr(runner, "_Run", Stand)
    monkeypatch.setattr(Stand, "ends", True)
    (tmp_path / ".store/key").mkdir(parents=True)
    (tmp_path / ".store/key/model.json").write_text("{}")
    out = tmp_path / "demo"
    run(out)
    (out / "pictures/a").mkdir(parents=True)
    (out / "pictures/a/sharp.webp").write_bytes(b"sharp")
    return out


def run(out: Path, **changed: Any) -> None:
    runner.run_recipe(RECIPE, CONTENT | changed, "demo", out, "lightsharp run demo")


def stopped(out: Path, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    monkeypatch.setattr(Stand, "ends", False)
    with pytest.raises(KeyboardInterrupt):
        run(out, **changed)
    monkeypatch.setattr(Stand, "ends", True)


def test_a_run_that_is_stopped_leaves_the_finished_one_whole(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = {name: (out / name).read_bytes() for name in ("report.json", "report.html", "recipe.yaml", "log.jsonl")}
    stopped(out, monkeypatch, description="another")
    before = out / "before"
    assert f"what was finished in {out} is kept in {before} until" in capsys.readouterr().err
    assert {name: (before / name).read_bytes() for name in held} == held
    assert (before / "pictures/a/sharp.webp").read_bytes() == b"sharp"
    assert (before / "variants/teacher/artifact/model.json").read_text() == "{}"
    assert read_run(before) == shipped("demo")
    assert "another" in (out / "recipe.yaml").read_text()


def test_what_is_kept_outlives_a_second_stop_and_a_report_of_what_is_left(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        stopped(out, monkeypatch)
        assert CliRunner().invoke(main, ["report", str(out)]).exit_code == 0
        assert is_recovered(read_run(out))
        assert read_run(out / "before") == shipped("demo")
    assert read_run(out).run.conditions[-1].endswith(f"type: lightsharp report {out / 'before'}.")
    run(out)
    assert not (out / "before").exists()
    assert read_run(out) == shipped("demo")
    assert read_run(out).run.conditions == shipped("demo").run.conditions


def test_only_files_of_a_run_are_kept(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (out / "mine").mkdir()
    (out / "mine/thesis.txt").write_text("large")
    stopped(out, monkeypatch)
    assert not (out / "before/mine").exists()
    assert (out / "mine/thesis.txt").exists()


def test_watch_says_what_to_type_after_a_stop_and_where_the_finished_run_is(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(out, monkeypatch)
    monkeypatch.chdir(out.parent)
    monkeypatch.setenv("COLUMNS", "200")
    lines = CliRunner().invoke(main, ["watch", "demo"]).output.splitlines()
    assert lines[0].startswith("demo: not running since ")
    assert lines[1:4] == [
        "interrupted from the keyboard",
        "to go on, type: lightsharp run demo/recipe.yaml --out demo",
        "what an earlier run finished here is kept; type: lightsharp report demo/before",
    ]
    assert "· not begun" in lines[-1]
    told = json.loads(CliRunner().invoke(main, ["watch", "demo", "--json"]).output)
    assert told["again"] == "lightsharp run demo/recipe.yaml --out demo"
    shutil.rmtree("demo/before")
    assert "earlier" not in CliRunner().invoke(main, ["watch", "demo"]).output


def test_a_first_run_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_Run", Stand)
    stopped(tmp_path / "demo", monkeypatch)
    assert not (tmp_path / "demo/before").exists()
    assert (tmp_path / "demo/recipe.yaml").exists()
