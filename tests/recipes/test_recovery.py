"""What is read of a run that was begun again where an earlier one had ended."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from baseline.errors import UserError
from recipes.live import live_state
from recipes.recovery import read_run
from recipes.runner import _Run
from recipes.schema import read_recipe, recipe_path
from reports.recover import is_recovered
from reports.write import write_report
from tests.reports.records import shipped

INT8 = {"quantize": {"scheme": "int8"}}


@pytest.mark.parametrize(
    ("events", "recovered"), [([], False), (["begin", "end"], False), (["begin", "end", "begin"], True)]
)
def test_a_report_of_an_earlier_run_is_not_taken_for_the_last(
    events: list[str], recovered: bool, tmp_path: Path
) -> None:
    write_report(shipped("demo"), tmp_path)
    shutil.copyfile(recipe_path("demo"), tmp_path / "recipe.yaml")
    lines = [json.dumps({"time": "2026-01-01T00:00:00+00:00", "event": event}) + "\n" for event in events]
    (tmp_path / "log.jsonl").write_text("".join(lines))
    record = tmp_path / "variants/teacher/record.json"
    record.parent.mkdir(parents=True)
    record.write_text(shipped("demo").teacher.model_dump_json())
    assert is_recovered(read_run(tmp_path)) is recovered


def test_a_run_that_begins_again_leaves_no_record_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "variants/int8/record.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")

    def killed(_: _Run) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_Run, "_make_all", killed)
    run = object.__new__(_Run)
    run.out = tmp_path
    with pytest.raises(KeyboardInterrupt):
        run.go()
    assert not record.exists()


def test_a_stage_without_settings_is_named_by_its_name_alone(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("variants: {a: [quantize: {scheme: int8}]}")
    events = [{"event": "begin"}, {"event": "start", "variant": "teacher", "stage": "export "}]
    lines = [json.dumps({"time": "2026-01-01T00:00:00+00:00", **event}) + "\n" for event in events]
    (tmp_path / "log.jsonl").write_text("".join(lines))
    assert str(read_run(tmp_path).teacher.error).endswith("the run ended, and 'export' was not finished")


def test_what_a_run_left_is_read_where_the_package_of_its_network_is_not(tmp_path: Path) -> None:
    content = {
        "teacher": {"network": "photos"},
        "variants": {"own": [{"distill": {"student": "not_here.nets:small", "steps": 3}}], "int8": [INT8]},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(UserError, match="must be code that you allow"):
        read_recipe(str(tmp_path / "recipe.yaml"))
    times = ["2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00"]
    events = [{"event": "begin"}, {"event": "failed", "variant": "own", "error": "the loss is nan in step 1"}]
    lines = [json.dumps({"time": time} | event) + "\n" for time, event in zip(times, events, strict=True)]
    (tmp_path / "log.jsonl").write_text("".join(lines))
    record = tmp_path / "variants/teacher/record.json"
    record.parent.mkdir(parents=True)
    record.write_text(shipped("demo").teacher.model_dump_json())
    assert [variant.name for variant in live_state(tmp_path).variants] == ["teacher", "own", "int8"]
    own = read_run(tmp_path).variants[0]
    assert (own.name, own.status, own.error) == ("own", "failed", "the loss is nan in step 1")
