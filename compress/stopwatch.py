"""How long a call takes on a device, and on how many CPU threads it runs meanwhile."""

import contextlib
import time
from collections.abc import Callable, Iterator

import torch

Stopwatch = Callable[[Callable[[], object]], float]
"""Runs something and returns how many milliseconds it took."""


def cpu_stopwatch(call: Callable[[], object]) -> float:
    """Wall-clock time on a CPU."""
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6


def cuda_stopwatch(call: Callable[[], object]) -> float:
    """Time on a GPU between two events, synchronised."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))


def stopwatch_for(device: str) -> Stopwatch:
    """The stopwatch of a device."""
    return cuda_stopwatch if device == "cuda" else cpu_stopwatch


@contextlib.contextmanager
def threads_set(threads: int | None) -> Iterator[None]:
    """Let torch, and the runtimes that follow it, use so many CPU threads meanwhile; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
