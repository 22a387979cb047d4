from collections.abc import Callable

import pytest
import torch

from compress import stopwatch
from compress.stopwatch import cpu_stopwatch, cuda_stopwatch, stopwatch_for, threads_set


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_set_meanwhile_and_given_back(threads: int) -> None:
    before = torch.get_num_threads()
    with threads_set(threads):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == before


def test_the_threads_are_given_back_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="out of memory"), threads_set(before + 1):
        raise RuntimeError("out of memory")
    assert torch.get_num_threads() == before


def test_wall_clock_time_is_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1_000_000_000, 1_002_500_000])
    monkeypatch.setattr(stopwatch.time, "perf_counter_ns", lambda: next(clock))
    assert cpu_stopwatch(lambda: None) == pytest.approx(2.5)


class EventClock:
    """A stand-in for a GPU's queue: work is done, and events get their time, when something waits for them."""

    def __init__(self) -> None:
        self.now_ms = 100.0
        self.queue: list[Callable[[], None]] = []
        self.log: list[str] = []

    def work(self, ms: float) -> None:
        """Hand in work; the call comes back at once."""
        self.log.append("called")
        self.queue.append(lambda: setattr(self, "now_ms", self.now_ms + ms))

    def event(self, enable_timing: bool) -> object:
        assert enable_timing
        clock = self

        class Event:
            at_ms: float | None = None

            def record(self) -> None:
                clock.log.append("recorded")
                clock.queue.append(lambda: setattr(self, "at_ms", clock.now_ms))

            def synchronize(self) -> None:
                clock.log.append("waited")
                while clock.queue:
                    clock.queue.pop(0)()

            def elapsed_time(self, other: "Event") -> float:
                clock.log.append("read")
                if self.at_ms is None or other.at_ms is None:
                    raise RuntimeError("both events must be completed before the elapsed time is read")
                return other.at_ms - self.at_ms

        return Event()


def test_gpu_time_is_taken_between_two_synchronised_events(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = EventClock()
    monkeypatch.setattr(torch.cuda, "Event", clock.event)
    assert cuda_stopwatch(lambda: clock.work(12.5)) == 12.5
    assert clock.log == ["recorded", "called", "recorded", "waited", "read"]


def test_the_device_chooses_the_stopwatch() -> None:
    assert (stopwatch_for("cpu"), stopwatch_for("cuda")) == (cpu_stopwatch, cuda_stopwatch)
