import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from baseline.errors import UserError
from compress.students import STUDENTS
from recipes import students

Cli = Callable[..., Any]


@pytest.fixture
def teacher_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The table without students, so that timing it takes seconds, in a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(students, "STUDENTS", _None())
    monkeypatch.setattr(students, "SIZE", (64, 64))


class _Two(dict[str, Any]):
    """A table of two students."""

    def __init__(self) -> None:
        super().__init__({"edge": STUDENTS["edge"], "slim": STUDENTS["mimo-unet-slim"]})

    def describe(self) -> dict[str, str]:
        return dict.fromkeys(self, "small")


class _None:
    """A table of no students."""

    def __iter__(self) -> Any:
        return iter(())

    def describe(self) -> dict[str, str]:
        return {}


def test_every_student_is_listed_with_its_cost(cli: Cli, tmp_path: Path) -> None:
    done = cli("ls", "students", "--json", XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    assert [row["name"] for row in table["students"]] == list(STUDENTS)
    assert table["teacher"]["macs"] == pytest.approx(8.71e9, rel=1e-3)  # as the committed record of the demo has it
    edge = next(row for row in table["students"] if row["name"] == "edge")
    assert edge["params"] == 154_860  # as deployed: without the branches of its training
    assert edge["latency_ms"] == {"fp32": None, "int8": None}
    untimed = "not timed on this machine yet; that takes some minutes; type: lightsharp ls students --time"
    assert table["conditions"] == untimed
    assert not (tmp_path / "lightsharp").exists()  # listing times nothing
    assert "aten::add" in table["uncounted"]
    shown = cli("ls", "students", XDG_CACHE_HOME=str(tmp_path)).stdout
    assert "MACs do not count: aten::" in shown
    assert "0.155 M" in shown and "For INT8 on phones and CPUs" in shown
    assert f"Sized after the shipped teacher; {untimed}." in shown


@pytest.mark.usefixtures("teacher_only")
def test_what_was_timed_is_kept_told_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    students.time_students()
    table = students.student_table()
    fp32, int8 = (table.teacher.latency_ms[precision] for precision in ("fp32", "int8"))
    assert fp32 and int8 and fp32 > 0 and int8 > 0
    assert f"photos: fp32 {fp32:.1f} ms, int8 {int8:.1f} ms" in capsys.readouterr().err
    assert table.conditions.startswith(
        "median ms of one 64x64 picture, openvino, random weights, fp32 and int8 of each"
    )
    assert table.conditions.endswith("; to time them again: lightsharp ls students --time")


def times_of(monkeypatch: pytest.MonkeyPatch, *found: float | None, noisy: Sequence[str] = ()) -> list[str]:
    """Have networks timed at these milliseconds, one after another; None stops it. Returns what is timed."""
    timed: list[str] = []

    def take(_: str, artifact: Any) -> students.Times:
        milliseconds = found[len(timed)]
        if milliseconds is None:
            raise KeyboardInterrupt
        timed.append(artifact.architecture)
        return students.Times({"fp32": milliseconds, "int8": milliseconds / 2}, list(noisy))

    monkeypatch.setattr(students, "_timed", take)
    return timed


def latencies() -> list[float | None]:
    table = students.student_table()
    return [row.latency_ms["int8"] for row in (table.teacher, *table.students)]


def test_timing_goes_on_where_it_was_stopped_and_then_takes_all_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(students, "STUDENTS", _Two())
    monkeypatch.setattr(students, "SIZE", (32, 32))
    monkeypatch.setattr("compress.students.STUDENTS", students.STUDENTS)
    timed = times_of(monkeypatch, 8.0, None)
    with pytest.raises(KeyboardInterrupt):
        students.time_students()
    assert latencies() == [4.0, None, None]
    assert students.student_table().conditions.endswith(
        "; not timed yet: edge, slim; type: lightsharp ls students --time"
    )
    timed = times_of(monkeypatch, 6.0, 2.0)
    students.time_students()
    assert timed == ["edge", "mimo-unet"]
    assert latencies() == [4.0, 3.0, 1.0]
    timed = times_of(monkeypatch, 80.0, 60.0, 20.0)
    students.time_students()
    assert timed == ["mimo-unet", "edge", "mimo-unet"]
    assert latencies() == [40.0, 30.0, 10.0]


@pytest.mark.usefixtures("teacher_only")
def test_a_noisy_time_is_kept_and_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    times_of(monkeypatch, 8.0, noisy=["int8"])
    students.time_students()
    assert "photos: fp32 8.0 ms, int8 4.0 ms; noisy: int8" in capsys.readouterr().err
    table = students.student_table()
    assert (table.teacher.latency_ms, table.teacher.noisy) == ({"fp32": 8.0, "int8": 4.0}, ["int8"])
    assert "; noisy, as beside other work: photos (int8); " in table.conditions


@pytest.mark.usefixtures("teacher_only")
def test_a_damaged_file_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    monkeypatch.setattr(students, "_cache", lambda _runtime, _artifact: kept)
    kept.write_text('{"fp32": 9.0, "int8": 8.0}')
    assert latencies() == [8.0]
    for damaged in ('{"fp', "[1]", '{"fp32": "x"}', "{}", '{"fp32": 9.0}'):
        kept.write_text(damaged)
        assert latencies() == [None]
    times_of(monkeypatch, 2.0)
    students.time_students()
    assert latencies() == [1.0]


@pytest.mark.usefixtures("teacher_only")
def test_without_a_runtime_there_is_a_reason_and_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(students, "_PREFERRED", ())
    table = students.student_table()
    assert table.conditions == "not timed: no runtime with files is usable here; type: lightsharp doctor"
    assert set(table.teacher.latency_ms.values()) == {None}
    with pytest.raises(UserError, match="--time must have a runtime with files; none is usable here"):
        students.time_students()


def test_only_students_are_timed(cli: Cli) -> None:
    done = cli("ls", "criteria", "--time")
    assert done.returncode == 2
    assert done.stderr == "error: --time must go with students; got criteria. Type: lightsharp ls students --time\n"
    assert "Did you mean 'students'?" in cli("ls", "studnets", "--time").stderr
