"""The parent's end of a process that one target is timed in."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from compress.noise import Turn
from compress.target import Target
from compress.timing_worker import CLOSE, TimingFailedError

_ROOT = Path(__file__).parent.parent
_ENDING_S = 10


class TimingProcess:
    """A target in a process of its own, asleep unless it is asked to do something; a context that ends it."""

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  closed with the process
        self._process = subprocess.Popen(
            # -P: what lies in the working folder is not run.
            [sys.executable, "-P", "-m", "compress.timing_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)])},
        )
        self.pid = self._process.pid

    def __enter__(self) -> "TimingProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            self._process.kill()
        self.close()

    def open(self, target: Target) -> None:
        """Open the target there, and let it compile and allocate; a TimingFailedError with the reason if it cannot."""
        self._ask({"open": target.as_json()})

    def turn(self, calls: int) -> Turn:
        """Time at least so many calls there; a TimingFailedError with the reason if that fails or the process ends."""
        return Turn(**self._ask({"calls": calls}))

    def close(self) -> None:
        """End the process."""
        try:
            self._process.communicate(CLOSE, timeout=_ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._errors.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("a timing process must have pipes")
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise TimingFailedError(self._why_it_ended())
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            sys.stderr.write(answer["traceback"])
            raise TimingFailedError(answer["failed"])
        return answer

    def _why_it_ended(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        said = (self._errors.read().strip().splitlines() or ["it said nothing"])[-1]
        return f"its process ended with {_ending(code)}: {said}"


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, as when memory runs out" if name == "SIGKILL" else name
