import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from baseline.errors import UserError
from baseline.progress import progress
from recipes import run_log, runner
from recipes.cli import main
from recipes.live import RunState, live_state, read_events, state_of
from recipes.live_view import clock, curve_text, live_view
from recipes.run_log import LOG, PROGRESS, RunLog, StageProgress, is_held
from recipes.schema import as_yaml, check_recipe
from reports.record import Report, RunInfo, Variant

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ROUNDS = {"iterate": {"rounds": 2, "prune": {"ratio": 0.2}, "train": {"steps": 300}}}
CONTENT: dict[str, Any] = {
    "description": "two ways",
    "teacher": {"train": {"network": "mimo-unet", "steps": 100}},
    "variants": {"slim": [ROUNDS], "slim-int8": [{"from": "slim"}, {"quantize": {"scheme": "int8"}}]},
}
RECIPE = check_recipe(CONTENT, "two")
PRUNE, TRAIN = (step.label() for step in RECIPE.variants["slim"][:2])
TAUGHT = "train steps 100, network mimo-unet"


def at(second: float, event: str, variant: str = "all", **more: Any) -> dict[str, Any]:
    return {"time": BEGAN + timedelta(seconds=second), "event": event, "variant": variant, **more}


def stage(second: float, event: str, variant: str, label: str, **more: Any) -> dict[str, Any]:
    return at(second, event, variant, stage=label, key="k", **more)


def told(seconds: float, variant: str = "slim", label: str = TRAIN, **more: Any) -> StageProgress:
    time = BEGAN + timedelta(seconds=seconds)
    return StageProgress(time=time, variant=variant, stage=label, label="training", done=120, total=300, **more)


TEACHER = [
    at(0, "begin"),
    stage(1, "start", "teacher", TAUGHT),
    stage(61, "done", "teacher", TAUGHT, seconds=60.0),
]
SLIM = [
    *TEACHER,
    stage(62, "reuse", "slim", PRUNE),
    stage(62, "done", "slim", PRUNE, seconds=0.1),
    stage(63, "start", "slim", TRAIN),
]
MADE = [
    *SLIM,
    stage(70, "done", "slim", TRAIN, seconds=7.0),
    stage(71, "start", "slim", PRUNE),
    stage(72, "done", "slim", PRUNE, seconds=1.5),
    stage(73, "start", "slim", TRAIN),
    stage(80, "done", "slim", TRAIN, seconds=6.5),
]


def state(events: list[dict[str, Any]], told: StageProgress | None = None, held: bool = True) -> RunState:
    return state_of("two", RECIPE, events, told, held)


def statuses(state: RunState) -> dict[str, list[str]]:
    return {v.name: [part.status for part in v.parts()] for v in state.variants}


def test_a_stage_that_comes_twice_is_counted_once_each_time() -> None:
    now = state(SLIM)
    assert now.status == "running"
    assert statuses(now) == {
        "teacher": ["done", "waiting"],
        "slim": ["taken", "running", "waiting", "waiting", "waiting"],
        "slim-int8": ["waiting"] * 6,
    }
    assert [part.seconds for part in now.variants[0].parts()] == [60.0, None]
    assert statuses(state(MADE))["slim"] == ["taken", "done", "done", "done", "waiting"]


def test_progress_counts_only_for_the_stage_that_runs() -> None:
    assert state(SLIM, told(64)).progress == told(64)
    assert state(SLIM, told(64, label=PRUNE)).progress is None
    assert state(MADE, told(64)).progress is None
    assert told(64).left_s is None
    assert told(64, per_s=1.5).left_s == 120


def test_a_run_whose_lock_is_free_was_stopped_at_its_last_sign_of_life() -> None:
    stopped = state(SLIM, told(65), held=False)
    assert (stopped.status, stopped.progress) == ("stopped", None)
    assert statuses(stopped)["slim"] == ["taken", "stopped", "waiting", "waiting", "waiting"]
    assert stopped.heard == BEGAN + timedelta(seconds=65)
    assert state([*SLIM, at(66, "stopped", error="no space left")], held=False).error == "no space left"
    ended = state([*MADE, at(90, "end")], held=False)
    assert (ended.status, ended.heard) == ("ended", BEGAN + timedelta(seconds=90))
    assert state([], held=False).status == "waiting"


def test_a_file_that_fails_leaves_its_variant_and_a_stage_that_fails_ends_it() -> None:
    label = "export runtime openvino"
    refused = [
        *TEACHER,
        stage(62, "start", "teacher", label),
        at(63, "failed", "teacher", runtime="openvino", error="x"),
    ]
    assert statuses(state(refused))["teacher"] == ["done", "failed", "waiting"]
    broken = state([*SLIM, at(64, "failed", "slim", error="the loss must stay finite")])
    assert statuses(broken)["slim"] == ["taken", "failed", "skipped", "skipped", "skipped"]
    assert broken.variants[1].errors == ["the loss must stay finite"]


def test_a_score_is_done_when_something_else_begins() -> None:
    timed = [*MADE, at(81, "time", how="in turn")]
    assert state(timed).doing == "timing in turn"
    blurred = [*timed, at(90, "score", "blurred", how="as it is")]
    assert state(blurred).doing == "scoring the blurred input as it is"
    scoring = [*blurred, at(91, "score", "teacher", how="in memory (eager), no file"), at(95, "score", "slim", how="x")]
    now = state(scoring)
    assert (now.doing, now.variants[0].score.status, now.variants[0].score.seconds) == ("", "done", 4)
    assert now.variants[1].score.status == "running"
    failed = state([*scoring, at(96, "failed", "slim", error="restores nothing")])
    assert failed.variants[1].score.status == "failed"
    assert state([*scoring, at(96, "end")], held=False).variants[1].score.status == "done"


def line(event: dict[str, Any]) -> str:
    return json.dumps(event | {"time": event["time"].isoformat()}) + "\n"


def test_only_the_last_time_that_the_run_began_counts_and_damage_is_told() -> None:
    text = "".join(map(line, [*MADE, at(90, "stopped", error="x")])) + '{"time": "2026-' + "\n" + line(at(95, "begin"))
    events, unreadable = read_events(text + '{"time": "20')
    assert ([event["event"] for event in events], unreadable) == (["begin"], 1)
    assert read_events("[1]\n7\n{}\nnull\n") == ([], 4)


def test_the_log_is_locked_while_the_run_goes_on_and_says_how_it_ended(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    with log.kept():
        assert is_held(tmp_path / LOG)
    assert not is_held(tmp_path / LOG)
    for error in (UserError("lr must be lower"), KeyboardInterrupt(), RuntimeError("sing")):
        with pytest.raises(type(error)), log.kept():
            raise error
    events = [json.loads(text) for text in (tmp_path / LOG).read_text().splitlines()]
    assert [event["event"] for event in events] == ["begin", "end"] + ["begin", "stopped"] * 3
    assert [e["error"] for e in events[3::2]] == ["lr must be lower", "KeyboardInterrupt", "RuntimeError: sing"]


def test_a_stage_tells_how_far_it_is_at_most_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 0.5, 1.0, 1.6, 2.0])
    monkeypatch.setattr(run_log, "time", type("Clock", (), {"monotonic": staticmethod(lambda: next(seconds))}))
    log, path = RunLog(tmp_path), tmp_path / PROGRESS

    def read() -> tuple[int, float | None]:
        now = StageProgress.model_validate_json(path.read_text())
        return now.done, now.per_s

    with log.kept():
        log.tell({"event": "start", "variant": "slim", "stage": TRAIN})
        with progress("training", 8, done=2) as steps:
            steps(3, "", {"l1": 0.5, "frequency": 0.25})
            assert read() == (3, 2.0)
            steps(4, "", {"l1": 0.5, "frequency": 0.25})
            assert read() == (3, 2.0)
            steps(6, "", {"l1": 0.25, "frequency": 0.25})
            assert read() == (6, 2.5)
            steps(8, "", {"l1": 0.25, "frequency": 0.25})
            assert read() == (8, 3.0)
        now = StageProgress.model_validate_json(path.read_text())
        assert (now.variant, now.stage, now.label, now.total) == ("slim", TRAIN, "training", 8)
        assert now.curve == [(3, 0.75), (6, 0.5)]
        log.tell({"event": "done", "variant": "slim", "stage": TRAIN})
        assert not path.exists()


def test_a_long_curve_is_thinned_and_keeps_both_ends(tmp_path: Path) -> None:
    with RunLog(tmp_path).kept():
        with progress("training", 1000) as steps:
            for step in range(1, 1001):
                steps(step, "", {"l1": float(step)})
        curve = StageProgress.model_validate_json((tmp_path / PROGRESS).read_text()).curve
    assert 100 < len(curve) <= 240
    assert curve[0] == (1, 1.0)
    assert curve[-1][0] > 990
    assert curve == sorted(set(curve))


def test_progress_that_cannot_be_written_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), RunLog(tmp_path).kept(), progress("training", 3) as steps:
        (tmp_path / PROGRESS).mkdir()
        steps(1)


def test_a_run_leaves_its_cards_and_says_that_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "two"

    class Done:
        none_was_made = None

        def __init__(self, *_: Any) -> None:
            self.environment, self.log = {"cpu": "one"}, RunLog(out)

        def go(self) -> Report:
            assert live_state(out).status == "running"
            (out / "variants/teacher").mkdir(parents=True)
            (out / "variants/teacher/record.json").write_text("{}")
            info = RunInfo(name="two", description="", data="photos")
            return Report(run=info, teacher=Variant(name="teacher"), variants=[])

    monkeypatch.setattr(runner, "_Run", Done)
    runner.run_recipe(RECIPE, CONTENT, "two", out, "lightsharp run two")
    assert live_state(out).status == "ended"
    assert (out / "variants/teacher/README.md").read_text().startswith("---\nlicense: ")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder as a run that was killed leaves it."""
    (tmp_path / "two").mkdir()
    (tmp_path / "two/recipe.yaml").write_text(as_yaml(CONTENT))
    (tmp_path / "two" / LOG).write_text("".join(map(line, SLIM)))
    (tmp_path / "two" / PROGRESS).write_text(told(65).model_dump_json())
    return tmp_path / "two"


def test_a_killed_run_is_seen_from_its_files(folder: Path) -> None:
    running = (
        f"import sys; from pathlib import Path; from recipes.run_log import RunLog; log = RunLog(Path({str(folder)!r}))"
    )
    running += "\nwith log.kept(): print('in', flush=True); sys.stdin.read()"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment}
    with subprocess.Popen([sys.executable, "-c", running, str(folder)], **pipes) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"in\n"
        assert live_state(folder).status == "running"
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert live_state(folder).status == "stopped"


def test_the_command_prints_where_the_run_stands(folder: Path) -> None:
    def watch(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["watch", str(folder), *arguments])

    done = watch("--once")
    assert done.exit_code == 1
    assert "two: not running since 2026-03-01" in done.output
    assert "■ train" in done.output
    assert watch().output == done.output  # no terminal, so once
    assert RunState.model_validate_json(watch("--json").output) == live_state(folder)
    (folder / LOG).write_text("".join(map(line, [*MADE, at(90, "end")])))
    assert (watch("--once").exit_code, live_state(folder).status) == (0, "ended")
    (folder / LOG).unlink()
    assert "two: has not begun" in watch("--once").output
    (folder / "recipe.yaml").unlink()
    done = watch()
    assert done.exit_code == 2
    assert "must be a run's folder with recipe.yaml" in done.output


def test_the_command_does_not_import_torch(folder: Path, run_python: Callable[..., Any]) -> None:
    code = "import sys; from recipes.cli import main; main(['watch', sys.argv[1]], standalone_mode=False)"
    done = run_python("-X", "importtime", "-c", code, str(folder))
    assert done.returncode == 1
    assert "not running since" in done.stdout
    assert "recipes.live_view" in done.stderr
    assert not [line for line in done.stderr.splitlines() if line.split("|")[-1].strip().split(".")[0] == "torch"]


def drawn(state: RunState, width: int, now: datetime = BEGAN + timedelta(seconds=66)) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(live_view(state, now))
    return captured.get()


@pytest.mark.parametrize("width", [40, 80, 140])
def test_the_view_fits_its_width_and_says_what_runs(width: int) -> None:
    curve = [(50, 0.9), (100, 0.45)]
    now = state(SLIM, told(65, per_s=1.5, losses={"l1": 0.2, "frequency": 0.25}, curve=curve))
    text = drawn(now, width)
    assert max(map(len, text.splitlines())) <= width
    assert text.startswith("two: running for 1:06\n▶ slim: train steps 300, for 0:03")
    words = " ".join(text.split())
    assert "losses: l1 0.2000, frequency 0.2500" in words
    assert "█▁ 0.9000 to 0.4500, steps 50 to 100" in words
    assert "✓ done" in words
    if width > 40:
        assert "120/300 1.50/s 2:00 left" in words
        assert "↺ prune ▶ train · prune · train · score" in words


def test_hostile_words_are_shown_as_they_are() -> None:
    error = "[red]no[/red] [/] \N{PILE OF POO} " + "x" * 200
    text = drawn(state([*SLIM, at(64, "failed", "slim", error=error)]), 80)
    assert "✗ slim: [red]no[/red] [/]" in text
    assert max(map(len, text.splitlines())) <= 80


def test_curves_and_clocks() -> None:
    assert curve_text([(1, 0.0), (2, 7.0), (3, 3.0)]) == "▁█▄"
    assert curve_text([(step, float(step // 2)) for step in range(16)], width=8) == "▁▂▃▄▅▆▇█"
    assert curve_text([(1, 2.0), (2, 2.0)]) == "▁▁"
    assert curve_text([]) == ""
    assert [clock(s) for s in (0, 59.6, 61, 3600 + 62)] == ["0:00", "1:00", "1:01", "1:01:02"]
