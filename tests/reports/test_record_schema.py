"""The published schemas: of report.json, and of what `lightsharp diff --json` prints."""

import importlib.util
import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from reports.diff import Difference, difference
from reports.merge import merge
from reports.record import Report
from tests.reports.records import DEMO, RESULTS, on_gpu, shipped

EXPLAINED_BY_THEIR_TYPE = {"run"}


def faults(model: type[BaseModel], content: Any) -> list[str]:
    """What breaks the schema; where no validator is installed, what the model says that it is made of."""
    if importlib.util.find_spec("jsonschema") is None:
        try:
            held = model.model_validate(content).model_dump(mode="json")
        except ValidationError as error:
            return [str(error)]
        return [f"lost: {key}" for key in content.keys() - held.keys()]
    import jsonschema

    validator = jsonschema.Draft202012Validator(model.model_json_schema())
    validator.check_schema(validator.schema)
    return [error.message for error in validator.iter_errors(content)]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/report.json")), ids=lambda path: path.parent.name)
def test_real_reports_keep_to_the_schema(path: Any) -> None:
    assert faults(Report, json.loads(path.read_text())) == []


def test_a_merged_report_and_a_difference_keep_to_theirs() -> None:
    demo = shipped("demo")
    merged = merge([("a", demo), ("b", on_gpu(demo))])
    assert faults(Report, json.loads(merged.model_dump_json())) == []
    found = difference(("a", demo), ("b", on_gpu(demo)))
    assert faults(Difference, json.loads(found.model_dump_json())) == []


def test_what_is_no_report_breaks_the_schema() -> None:
    content = json.loads(DEMO.read_text())
    del content["teacher"]["name"]
    assert any("name" in fault for fault in faults(Report, content))


@pytest.mark.parametrize("model", [Report, Difference])
def test_every_field_is_described(model: type[BaseModel]) -> None:
    schema = model.model_json_schema()
    objects = {schema["title"]: schema} | schema["$defs"]
    bare = [
        f"{title}.{name}"
        for title, one in objects.items()
        for name, field in one["properties"].items()
        if not field.get("description") and name not in EXPLAINED_BY_THEIR_TYPE
    ]
    assert bare == []
    assert all(one["description"] for one in objects.values())
