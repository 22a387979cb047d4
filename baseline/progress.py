"""Progress with throughput and time left: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True)
"""Where people read what goes on; numbers that were asked for go to standard output."""

_SECONDS_BETWEEN_LINES = 30.0


class Steps(Protocol):
    """Told after every step which one it was, with a few words on how it went."""

    def __call__(self, done: int, note: str = "") -> None: ...


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Steps]:
    """Show the way from `done` to `total` steps."""
    if console.is_terminal:
        with _bar(label, total, done) as steps:
            yield steps
    else:
        yield _lines(label, total, done)


@contextmanager
def _bar(label: str, total: int, done: int) -> Iterator[Steps]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=total, completed=done, note="")
        yield lambda step, note="": bar.update(task, completed=step, note=note)


def _lines(label: str, total: int, first: int) -> Steps:
    start = last = time.monotonic()

    def tell(done: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _SECONDS_BETWEEN_LINES and done != total:
            return
        last = now
        rate = (done - first) / max(now - start, 1e-9)
        left_s = (total - done) / rate if rate else 0.0
        console.print(f"{label}: {done}/{total}, {rate:.2f}/s, {left_s / 60:.1f} min left {note}", highlight=False)

    return tell
