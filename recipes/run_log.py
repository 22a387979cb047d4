"""What a run writes while it goes on, for those who look in: an event a line, and how far the running stage is."""

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel

from baseline.atomic import remove_leftovers, write_whole
from baseline.errors import UserError
from baseline.progress import Heard, heard_by

LOG = "log.jsonl"
PROGRESS = "progress.json"

_SECONDS_BETWEEN_WRITES = 1.0
_MOST_POINTS = 240
_CHANGES_OF_STAGE = {"start", "done", "failed"}


class StageProgress(BaseModel):
    """The content of `progress.json`: how far something is that a stage does; `curve` holds (step, sum of losses)."""

    time: AwareDatetime
    variant: str
    stage: str
    label: str
    done: int
    total: int
    per_s: float | None = None
    losses: dict[str, float] = {}
    curve: list[tuple[int, float]] = []

    @property
    def left_s(self) -> float | None:
        """The time left at the rate so far; None as long as there is none."""
        return (self.total - self.done) / self.per_s if self.per_s else None


class RunLog:
    """The log and the progress file of one run's folder. What cannot be written ends the run with its OSError."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._variant = self._stage = ""

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Note when the run begins and ends, or why it stopped; the log is locked meanwhile: see `is_held`."""
        with (self._out / LOG).open("a") as log:
            fcntl.flock(log, fcntl.LOCK_EX)  # waits for a reader that looks at the lock just now
            remove_leftovers(self._out)
            self._forget_progress()
            self.tell({"event": "begin"})
            try:
                with heard_by(self._listen):
                    yield
            except BaseException as error:
                self.tell({"event": "stopped", "error": _said(error)})
                raise
            self._forget_progress()
            self.tell({"event": "end"})

    def tell(self, event: dict[str, Any]) -> None:
        """Append an event, with its time."""
        if event["event"] in _CHANGES_OF_STAGE:
            self._forget_progress()
            self._variant, self._stage = event["variant"], event.get("stage", "")
        with (self._out / LOG).open("a") as log:
            log.write(json.dumps({"time": _now().isoformat(timespec="seconds"), **event}) + "\n")

    def _forget_progress(self) -> None:
        (self._out / PROGRESS).unlink(missing_ok=True)

    def _listen(self, label: str, total: int, done: int) -> Heard:
        """Write down what is heard, at most once a second, and the last step in any case."""
        began = time.monotonic()
        written = -_SECONDS_BETWEEN_WRITES
        curve: list[tuple[int, float]] = []
        last: dict[str, float] = {}

        def hear(step: int, losses: Mapping[str, float]) -> None:
            nonlocal written, last
            if losses and losses != last:
                last = dict(losses)
                curve.append((step, sum(last.values())))
                if len(curve) > _MOST_POINTS:
                    del curve[1::2]
            elapsed = time.monotonic() - began
            if elapsed - written < _SECONDS_BETWEEN_WRITES and step != total:
                return
            written = elapsed
            progress = StageProgress(
                time=_now(),
                variant=self._variant,
                stage=self._stage,
                label=label,
                done=step,
                total=total,
                per_s=(step - done) / elapsed if step > done and elapsed > 0 else None,
                losses=last,
                curve=curve,
            )
            write_whole(self._out / PROGRESS, progress.model_dump_json() + "\n")

        return hear


def is_held(log: Path) -> bool:
    """Whether a run holds its log's lock, which ends with its process, however that ends."""
    with log.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _said(error: BaseException) -> str:
    """An error of the user's in its own words; any other with its kind."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}".removesuffix(": ")


def _now() -> datetime:
    return datetime.now(UTC)
