import re

import pytest
from click.testing import CliRunner

from baseline.code_closure import ROOT
from baseline.version import VERSION
from recipes.cli import main
from recipes.keys import code_and_versions, key_of, library_versions


def test_keys_follow_content_and_not_order() -> None:
    assert key_of({"a": 1, "b": [1, 2]}) == key_of({"b": [1, 2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert len({key_of({"a": i}) for i in range(100)}) == 100


def test_every_library_that_results_depend_on_is_named() -> None:
    assert {"lightsharp", "torch", "torchao", "torch-pruning", "numpy"} <= set(library_versions())


def test_the_version_is_part_of_every_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of(code_and_versions("recipes.stages.export"))
    monkeypatch.setattr("recipes.keys.VERSION", "9")
    assert key_of(code_and_versions("recipes.stages.export")) != before


def test_whatever_makes_a_key_names_its_code_and_the_version() -> None:
    makers = [path for path in (ROOT / "recipes").rglob("*.py") if re.search(r"\bkey_of\(", path.read_text())]
    assert {path.stem for path in makers} >= {"pipeline", "scoring", "costing", "students", "teaching", "prune"}
    assert [path.name for path in makers if "code_and_versions(" not in path.read_text()] == []


def test_the_version_that_is_told_is_the_one_in_the_keys() -> None:
    assert VERSION in CliRunner().invoke(main, ["--version"]).output
    assert library_versions()["lightsharp"] == VERSION
