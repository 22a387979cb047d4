"""Where a run stands, read from the files that `run_log` writes while it goes on."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from baseline.networks.zoo import by_name_alone
from recipes.run_folder import kept_before, making, recipe_of
from recipes.run_log import LOG, PROGRESS, StageProgress, is_held
from recipes.schema import Recipe, Step, read_recipe

Status = Literal["waiting", "running", "done", "taken", "failed", "stopped", "skipped"]
Event = dict[str, Any]

_TEACHER = "teacher"


class StageState(BaseModel):
    """One stage of a variant; `taken` is one that was finished before. A stopped one was running when the run was."""

    label: str
    status: Status = "waiting"
    since: AwareDatetime | None = None
    seconds: float | None = None


class VariantState(BaseModel):
    """A variant's stages, what it is scored as, and what went wrong with it."""

    name: str
    stages: list[StageState]
    score: StageState = Field(default_factory=lambda: StageState(label="score"))
    errors: list[str] = []

    def parts(self) -> list[StageState]:
        """Everything that is done for the variant, in order."""
        return [*self.stages, self.score]


class RunState(BaseModel):
    """Where a run stands; `heard` is the time of its last sign of life, `doing` what it does for no single stage.

    Of a run that was stopped, `again` is what to type to go on, and `kept` says where an earlier one's report is.
    """

    name: str
    status: Literal["waiting", "running", "ended", "stopped"]
    began: AwareDatetime | None = None
    heard: AwareDatetime | None = None
    doing: str = ""
    variants: list[VariantState]
    progress: StageProgress | None = None
    error: str = ""
    again: str = ""
    kept: str = ""
    unreadable_lines: int = 0


def live_state(folder: Path) -> RunState:
    """Where the run of a folder stands; a UserError if the folder is not a run's."""
    with by_name_alone():
        recipe, _ = read_recipe(str(recipe_of(folder, "of which there is nothing to watch")))
    log = folder / LOG
    if not log.is_file():
        return state_of(folder.name, recipe, [], None, held=False)
    # Before and after the log is read: a run that begins or ends in between was not stopped.
    held = is_held(log)
    events, unreadable = read_events(log.read_text(errors="replace"))
    held = held or is_held(log)
    state = state_of(folder.name, recipe, events, _progress(folder / PROGRESS), held)
    advice = {"again": making(folder), "kept": kept_before(folder)} if state.status == "stopped" else {}
    return state.model_copy(update={"unreadable_lines": unreadable, **advice})


def has_ended(folder: Path) -> bool:
    """Whether the last run of a folder came to its end, as far as a log says anything."""
    log = folder / LOG
    events, _ = read_events(log.read_text(errors="replace")) if log.is_file() else ([], 0)
    return not events or events[-1]["event"] == "end"


def read_events(text: str) -> tuple[list[Event], int]:
    """The log's events since the run last began, and how many lines are damaged; a last one may be half written."""
    events: list[Event] = []
    unreadable = 0
    for line in text.splitlines(keepends=True):
        try:
            event = json.loads(line)
            events.append(event | {"time": datetime.fromisoformat(event["time"]), "event": str(event["event"])})
        except (ValueError, KeyError, TypeError, RecursionError):
            unreadable += line.endswith("\n")
    begins = [number for number, event in enumerate(events) if event["event"] == "begin"]
    return events[begins[-1] :] if begins else events, unreadable


def state_of(name: str, recipe: Recipe, events: list[Event], progress: StageProgress | None, held: bool) -> RunState:
    """Where a run stands, from what its log says since it last began and whether its lock is held."""
    state = RunState(name=name, status="waiting", variants=_waiting(recipe))
    for event in events:
        _follow_(state, event)
    if events:
        state.began, state.heard = events[0]["time"], events[-1]["time"]
        ended = events[-1]["event"] == "end"
        state.status = "ended" if ended else "running" if held else "stopped"
    if progress is not None and state.status in ("running", "stopped"):
        state.heard = max(events[-1]["time"], progress.time)
        state.progress = progress if _is_of_what_runs(progress, state) else None
    if state.status != "running":
        state.doing, state.progress = "", None
        _replace_(state, "running", "stopped")
    return state


def _waiting(recipe: Recipe) -> list[VariantState]:
    """Everything that the recipe asks for, before any of it is done."""
    train = recipe.teacher.train
    chains = {_TEACHER: [] if train is None else [Step(stage="train", settings=train)], **recipe.variants}
    return [
        VariantState(name=name, stages=[StageState(label=step.label()) for step in chain])
        for name, chain in chains.items()
    ]


def _follow_(state: RunState, event: Event) -> None:
    """Let a state take in the next event."""
    kind, name = event["event"], event.get("variant", "")
    _close_score_(state, event)
    variant = next((variant for variant in state.variants if variant.name == name), None)
    state.doing = f"timing {event.get('how', '')}" if kind == "time" else ""
    if kind == "stopped":
        state.error = event["error"]
    elif kind == "score" and variant is None:
        state.doing = f"scoring the {name} input {event.get('how', '')}"
    elif variant is None:
        return
    elif kind in ("start", "reuse"):
        _begin_(variant, event)
    elif kind == "done":
        _finish_(variant, event)
    elif kind == "score":
        variant.score = StageState(label=f"score {event.get('how', '')}", status="running", since=event["time"])
    elif kind == "failed":
        _fail_(variant, event)


def _begin_(variant: VariantState, event: Event) -> None:
    """A stage of the recipe, or else one more: the exports, which follow from what the machine has."""
    found = next((s for s in variant.stages if s.label == event["stage"] and s.status == "waiting"), None)
    if found is None:
        found = StageState(label=event["stage"])
        variant.stages.append(found)
    found.status = "running" if event["event"] == "start" else "taken"
    found.since = event["time"]


def _finish_(variant: VariantState, event: Event) -> None:
    for stage in variant.stages:
        if stage.status == "running":
            stage.status, stage.seconds = "done", event.get("seconds")


def _fail_(variant: VariantState, event: Event) -> None:
    """The variant fails as a whole, or without a file of one runtime: then it goes on."""
    variant.errors.append(event["error"])
    for stage in variant.parts():
        if stage.status == "running":
            stage.status = "failed"
        elif stage.status == "waiting" and "runtime" not in event:
            stage.status = "skipped"


def _close_score_(state: RunState, event: Event) -> None:
    """Scores are taken one after another: whatever comes next, but a failure or a stop, says that the last is done."""
    for variant in state.variants:
        if variant.score.status == "running" and event["event"] not in ("failed", "stopped"):
            variant.score.status = "done"
            if variant.score.since is not None:
                variant.score.seconds = (event["time"] - variant.score.since).total_seconds()


def _is_of_what_runs(progress: StageProgress, state: RunState) -> bool:
    running = ((v.name, part.label) for v in state.variants for part in v.parts() if part.status == "running")
    return (progress.variant, progress.stage) in running


def _replace_(state: RunState, old: Status, new: Status) -> None:
    for variant in state.variants:
        for part in variant.parts():
            if part.status == old:
                part.status = new


def _progress(path: Path) -> StageProgress | None:
    """What the running stage last wrote; None if there is nothing, or it is of another version."""
    try:
        return StageProgress.model_validate_json(path.read_text())
    except (FileNotFoundError, ValidationError):
        return None
