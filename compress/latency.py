"""Latency of restorers, taken in turn (A B C A B C), so that a drift of the machine meets all of them alike."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from baseline.errors import UserError
from baseline.restorer import Restorer, check_size


@dataclass(frozen=True)
class LatencySettings:
    """How to time: N,3,H,W of batch and size (height, width), rounds over all restorers after the warm-up rounds."""

    size: tuple[int, int] = (256, 256)
    batch: int = 1
    threads: int | None = None
    warmup: int = 3
    rounds: int = 20


@dataclass(frozen=True)
class Latency:
    """Milliseconds a call: the median and the tenths below and above."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    threads: int


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


@contextlib.contextmanager
def threads_set(threads: int | None) -> Iterator[None]:
    """Let torch, and the runtimes that follow it, use so many CPU threads meanwhile; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def picture_for(settings: LatencySettings, device: str) -> Tensor:
    """The random N,3,H,W that all restorers are timed on."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(settings.batch, 3, *settings.size, generator=generator).to(device)


def first_call(restorer: Restorer, device: str, settings: LatencySettings) -> None:
    """Let a restorer compile and allocate, as it will be timed; whatever it raises says why it cannot be."""
    check_size(settings.size, restorer.size_multiple)
    fixed = restorer.fixed_size
    if fixed is not None and fixed != settings.size:
        raise UserError(
            f"the file takes {fixed[0]}x{fixed[1]} only; export one for {settings.size[0]}x{settings.size[1]}."
        )
    with threads_set(settings.threads):
        restorer(picture_for(settings, device))


def time_in_turn(
    restorers: Mapping[str, Restorer], device: str, settings: LatencySettings, stopwatch: Stopwatch | None = None
) -> dict[str, Latency]:
    """Time every restorer on one random picture, a call of each in every round."""
    for restorer in restorers.values():
        check_size(settings.size, restorer.size_multiple)
    watch = stopwatch or (cuda_stopwatch if device == "cuda" else cpu_stopwatch)
    with threads_set(settings.threads):
        times = _rounds(restorers, picture_for(settings, device), watch, settings)
        threads = torch.get_num_threads()
    return {name: _summary(taken, threads) for name, taken in times.items()}


def _rounds(
    restorers: Mapping[str, Restorer], picture: Tensor, watch: Stopwatch, settings: LatencySettings
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in restorers}
    for number in range(settings.warmup + settings.rounds):
        for name, restorer in restorers.items():
            taken_ms = watch(lambda run=restorer: run(picture))  # type: ignore[misc]
            if number >= settings.warmup:
                times[name].append(taken_ms)
    return times


def _summary(times: list[float], threads: int) -> Latency:
    p10, median, p90 = (float(q) for q in np.quantile(times, [0.1, 0.5, 0.9]))
    return Latency(median, p10, p90, threads)
