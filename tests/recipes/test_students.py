import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compress.students import STUDENTS
from recipes import students
from recipes.cli import main

Cli = Callable[..., Any]


@pytest.fixture
def teacher_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The table without students, so that timing it takes seconds, in a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(students, "STUDENTS", _None())
    monkeypatch.setattr(students, "SIZE", (64, 64))


class _None:
    """A table of no students."""

    def __iter__(self) -> Any:
        return iter(())

    def describe(self) -> dict[str, str]:
        return {}


def test_every_student_is_listed_with_its_cost(cli: Cli, tmp_path: Path) -> None:
    done = cli("ls", "students", "--no-measure", "--json", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    assert [row["name"] for row in table["students"]] == list(STUDENTS)
    assert table["teacher"]["macs"] == pytest.approx(8.71e9, rel=1e-3)  # as the committed record of the demo has it
    edge = next(row for row in table["students"] if row["name"] == "edge")
    assert edge["params"] == 154_860  # as deployed: without the branches of its training
    assert edge["latency_ms"] == {"fp32": None, "int8": None}
    assert table["conditions"] == "not timed on this machine yet: leave --no-measure out"
    shown = cli("ls", "students", "--no-measure", XDG_CACHE_HOME=str(tmp_path)).stdout
    assert "0.155 M" in shown and "For INT8 on phones and CPUs" in shown


@pytest.mark.usefixtures("teacher_only")
def test_networks_are_timed_once_on_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    first = students.student_table(timed=True)
    assert first.conditions.startswith("median ms of one 64x64 picture, openvino, random weights, all in turn, ")
    times = list(first.teacher.latency_ms.values())
    assert len(times) == 2
    assert all(ms is not None and ms > 0 for ms in times)
    monkeypatch.setattr(students, "_timed", None)
    assert students.student_table(timed=True) == first
    assert students.student_table(timed=False) == first


@pytest.mark.usefixtures("teacher_only")
def test_a_damaged_table_is_timed_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times = {"photos": {"fp32": 2.0, "int8": 1.0}}
    monkeypatch.setattr(students, "_timed", lambda _runtime, _networks: times)
    kept = tmp_path / "kept.json"
    monkeypatch.setattr(students, "_cache", lambda _runtime, _networks: kept)
    kept.write_text('{"photos": {"fp32": 9.0, "int8": 8.0}}')
    assert students.student_table(timed=True).teacher.latency_ms == {"fp32": 9.0, "int8": 8.0}
    for damaged in ('{"photos": {"fp', "[1]", '{"photos": 3}', "{}", '{"photos": {"fp32": 9.0}}'):
        kept.write_text(damaged)
        assert students.student_table(timed=True).teacher.latency_ms == times["photos"]


@pytest.mark.usefixtures("teacher_only")
def test_without_a_runtime_there_is_a_reason_and_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(students, "_PREFERRED", ())
    table = students.student_table(timed=True)
    assert table.conditions == "not timed: no runtime with files is usable here; type: lightsharp doctor"
    assert set(table.teacher.latency_ms.values()) == {None}


def test_ls_takes_no_more_than_it_says() -> None:
    assert {option.name for option in main.commands["ls"].params} == {"what", "no_measure", "as_json"}
