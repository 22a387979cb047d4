from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from compress import latency
from compress.latency import LatencySettings, cuda_stopwatch, time_in_turn


class Named:
    """A restorer that writes down when it was called, and with what."""

    size_multiple = 1
    fixed_size: tuple[int, int] | None = None
    max_batch: int | None = None

    def __init__(self, name: str, calls: list[tuple[str, Tensor]]) -> None:
        self.name = name
        self.calls = calls

    def __call__(self, blurred: Tensor) -> Tensor:
        self.calls.append((self.name, blurred))
        return blurred


def test_restorers_are_called_in_turn_and_warm_up_rounds_do_not_count() -> None:
    calls: list[tuple[str, Tensor]] = []
    # Two warm-up rounds of two, which are slow; then 1 to 11 ms for a, and ten times as much for b.
    times = iter([999.0] * 4 + [float(ms) for i in range(1, 12) for ms in (i, 10 * i)])

    def watch(call: Callable[[], object]) -> float:
        call()
        return next(times)

    settings = LatencySettings(size=(24, 16), batch=2, warmup=2, rounds=11)
    taken = time_in_turn({name: Named(name, calls) for name in "ab"}, "cpu", settings, watch)
    assert "".join(name for name, _ in calls) == "ab" * 13
    assert {tuple(picture.shape) for _, picture in calls} == {(2, 3, 24, 16)}
    assert all(torch.equal(picture, calls[0][1]) for _, picture in calls)
    # The tenths of 1..11 lie on its second and tenth value.
    assert (taken["a"].p10_ms, taken["a"].median_ms, taken["a"].p90_ms) == pytest.approx((2, 6, 10))
    assert (taken["b"].p10_ms, taken["b"].median_ms, taken["b"].p90_ms) == pytest.approx((20, 60, 100))


def test_the_median_ignores_one_disturbed_call() -> None:
    times = iter([5.0, 5.0, 5.0, 5000.0, 5.0])
    settings = LatencySettings(size=(8, 8), warmup=0, rounds=5)
    taken = time_in_turn({"a": Named("a", [])}, "cpu", settings, lambda call: next(times))
    assert taken["a"].median_ms == 5


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_set_while_timing_and_given_back(threads: int) -> None:
    before = torch.get_num_threads()
    seen = []

    def watch(call: Callable[[], object]) -> float:
        seen.append(torch.get_num_threads())
        return 1.0

    settings = LatencySettings(size=(8, 8), threads=threads, warmup=0, rounds=2)
    taken = time_in_turn({"a": Named("a", [])}, "cpu", settings, watch)
    assert seen == [threads, threads]
    assert taken["a"].threads == threads
    assert torch.get_num_threads() == before


def test_the_threads_are_given_back_after_an_error() -> None:
    before = torch.get_num_threads()

    def watch(call: Callable[[], object]) -> float:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        time_in_turn({"a": Named("a", [])}, "cpu", LatencySettings(size=(8, 8), threads=before + 1), watch)
    assert torch.get_num_threads() == before


def test_wall_clock_time_is_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([1_000_000_000, 1_002_500_000])
    monkeypatch.setattr(latency.time, "perf_counter_ns", lambda: next(clock))
    assert latency.cpu_stopwatch(lambda: None) == pytest.approx(2.5)


def test_gpu_time_is_taken_between_two_synchronised_events(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []

    class Event:
        made = 0

        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing
            self.name = ("start", "end")[Event.made]
            Event.made += 1

        def record(self) -> None:
            log.append(f"{self.name} recorded")

        def synchronize(self) -> None:
            log.append(f"{self.name} waited for")

        def elapsed_time(self, other: "Event") -> float:
            log.append(f"{self.name} to {other.name}")
            return 12.5

    monkeypatch.setattr(torch.cuda, "Event", Event)
    assert cuda_stopwatch(lambda: log.append("called")) == 12.5
    assert log == ["start recorded", "called", "end recorded", "end waited for", "start to end"]


def test_the_device_chooses_the_stopwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "cpu_stopwatch", lambda call: 1.0)
    monkeypatch.setattr(latency, "cuda_stopwatch", lambda call: 2.0)
    monkeypatch.setattr(Tensor, "to", lambda self, device: self)
    settings = LatencySettings(size=(8, 8), warmup=0, rounds=1)
    medians = [time_in_turn({"a": Named("a", [])}, device, settings)["a"].median_ms for device in ("cpu", "cuda")]
    assert np.array_equal(medians, [1.0, 2.0])
