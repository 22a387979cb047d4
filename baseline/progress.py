"""Progress with throughput and time left: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import MappingProxyType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, markup=False, emoji=False)
"""Where people read what goes on; numbers that were asked for go to standard output. Names are shown as they are."""

_SECONDS_BETWEEN_LINES = 30.0


class Steps(Protocol):
    """Told after every step which one it was, with a few words on how it went and, in a training, its last losses."""

    def __call__(self, done: int, note: str = "", losses: Mapping[str, float] = ...) -> None: ...


_Show = Callable[[int, str], None]

Heard = Callable[[int, Mapping[str, float]], None]
"""Hears after every step which one it was, and the last losses as far as there are any."""

Listener = Callable[[str, int, int], Heard]
"""Told of what begins to show its progress, by label, total and what is done of it."""

_listeners: list[Listener] = []


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Have a listener hear, meanwhile, of everything in this process that shows its progress."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Steps]:
    """Show the way from `done` to `total` steps, and tell those who listen."""
    listening = [listener(label, total, done) for listener in _listeners]
    with _bar(label, total, done) if console.is_terminal else nullcontext(_lines(label, total, done)) as show:

        def tell(done: int, note: str = "", losses: Mapping[str, float] = MappingProxyType({})) -> None:
            show(done, note)
            for hear in listening:
                hear(done, losses)

        yield tell


@contextmanager
def _bar(label: str, total: int, done: int) -> Iterator[_Show]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total, completed=done, note="")
        yield lambda step, note: bar.update(task, completed=step, note=note)


def _lines(label: str, total: int, first: int) -> _Show:
    start = last = time.monotonic()

    def tell(done: int, note: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _SECONDS_BETWEEN_LINES and done != total:
            return
        last = now
        rate = (done - first) / max(now - start, 1e-9)
        left_s = (total - done) / rate if rate else 0.0
        console.print(f"{label}: {done}/{total}, {rate:.2f}/s, {left_s / 60:.1f} min left {note}", highlight=False)

    return tell
