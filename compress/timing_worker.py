"""The process that one target is timed in: it opens the target, and times calls of it whenever it is asked to.

Requests come as lines of JSON through standard input, answers go through standard output. It ends with its parent.
"""

import json
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TextIO

from torch import Tensor

from baseline.errors import UserError, named_line
from baseline.restorer import Restorer
from compress.calm import OtherLoad, fall_asleep, pace_ms
from compress.noise import Turn
from compress.stopwatch import Stopwatch, stopwatch_for, threads_set
from compress.target import Target

CLOSE = '"close"\n'
"""The last request."""
_FIRST_CALLS = 3
"""Compiling, allocating and, in the second call, recording a CUDA graph."""
_WARM_MS = 50.0
"""A turn begins with calls that do not count, for so long: caches, threads and the clock wake up."""
_TIMED_MS = 200.0
"""A turn is at least so long: the system counts processor time in hundredths of a second."""


class TimingFailedError(Exception):
    """Why a target could not be opened or timed, in a line."""


class TimingWorker:
    """Times one target in the process that it is in; a restorer stands for one that cannot be opened by its path."""

    def __init__(self, restorer: Restorer | None = None) -> None:
        self._restorer = restorer
        self._target: Target | None = None
        self._call: Callable[[], object] = lambda: None

    def open(self, target: Target) -> None:
        """Open the target, and let it compile and allocate."""
        try:
            with threads_set(target.threads):
                self._call = _call_of(self._restorer or target.open(), target.image())
                for _ in range(_FIRST_CALLS):
                    self._call()
        except Exception as error:  # whatever torch, runtimes, and a user's own network raise
            raise TimingFailedError(_reason(error)) from error
        self._target = target

    def turn(self, calls: int) -> Turn:
        """Time at least so many calls, and fall asleep."""
        if self._target is None:
            raise ValueError("a target must be opened before its turn")
        try:
            with threads_set(self._target.threads):
                turn = _turn(self._call, calls, self._target.device)
        except Exception as error:
            raise TimingFailedError(_reason(error)) from error
        if not fall_asleep():
            raise TimingFailedError("its threads must sleep between calls; they compute on. Unset OMP_WAIT_POLICY")
        return turn

    def close(self) -> None:
        """Let the target go."""
        self._restorer, self._target, self._call = None, None, lambda: None


def _call_of(restorer: Restorer, image: Tensor) -> Callable[[], object]:
    return lambda: restorer(image)


def _turn(call: Callable[[], object], calls: int, device: str) -> Turn:
    watch, others, pace = stopwatch_for(device), OtherLoad(), pace_ms(device)
    _times(call, watch, 1, _WARM_MS)
    times = _times(call, watch, calls, _TIMED_MS)
    return Turn(times, min(pace, pace_ms(device)), others.share())


def _times(call: Callable[[], object], watch: Stopwatch, calls: int, at_least_ms: float) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + at_least_ms / 1000
    while len(times) < calls or time.perf_counter() < end:
        times.append(watch(call))
    return times


def _reason(error: Exception) -> str:
    """The first line of what a user or a compiler is told; the name, too, of any other error."""
    if isinstance(error, UserError | RuntimeError):
        return (str(error).strip().splitlines() or [type(error).__name__])[0].removesuffix(".")
    return named_line(error)


def _answer(worker: TimingWorker, request: dict[str, Any]) -> dict[str, Any]:
    try:
        if "open" in request:
            worker.open(Target.from_json(request["open"]))
            return {}
        return asdict(worker.turn(request["calls"]))
    except TimingFailedError as error:
        return {"failed": str(error), "traceback": _traceback(error.__cause__)}


def _traceback(error: BaseException | None) -> str:
    """That of an error which nobody foresaw; nothing of others."""
    if isinstance(error, UserError | RuntimeError | None):
        return ""
    return "".join(traceback.format_exception(error))


def _read(requests: TextIO, lines: "queue.Queue[str]") -> None:
    """Hand on every line. Where they end before the last request the parent is gone: nobody waits for an answer."""
    for line in requests:
        lines.put(line)
        if line == CLOSE:
            return
    os._exit(1)


def main() -> None:
    """Answer requests until one is `close`. What libraries print goes to standard error."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(requests, lines), daemon=True).start()
    worker = TimingWorker()
    for line in iter(lines.get, CLOSE):
        answers.write(json.dumps(_answer(worker, json.loads(line))) + "\n")
        answers.flush()
    worker.close()


if __name__ == "__main__":
    main()
