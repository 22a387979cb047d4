from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from baseline.errors import UserError
from compress import clocks, latency
from compress.latency import LatencySettings, cuda_stopwatch, first_call, time_in_turn


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


def test_on_a_gpu_the_first_calls_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = EventClock()
    # Compiling, recording a graph and filling caches: three slow calls of each, then 2 ms for a and 5 ms for b.
    left = {"a": iter([900.0, 500.0, 90.0, *[2.0] * 4]), "b": iter([800.0, 400.0, 80.0, *[5.0] * 4])}

    class OnGpu(Named):
        def __call__(self, blurred: Tensor) -> Tensor:
            clock.work(next(left[self.name]))
            return super().__call__(blurred)

    calls: list[tuple[str, Tensor]] = []
    monkeypatch.setattr(torch.cuda, "Event", clock.event)
    monkeypatch.setattr(Tensor, "to", lambda self, device: self)
    taken = time_in_turn({n: OnGpu(n, calls) for n in "ab"}, "cuda", LatencySettings(size=(8, 8), rounds=4))
    assert "".join(name for name, _ in calls) == "ab" * 7
    assert [(one.p10_ms, one.median_ms, one.p90_ms) for one in taken.values()] == [(2, 2, 2), (5, 5, 5)]


def test_a_file_of_one_size_says_so() -> None:
    restorer = Named("a", [])
    restorer.fixed_size = (16, 24)
    first_call(restorer, "cpu", LatencySettings(size=(16, 24)))
    with pytest.raises(UserError, match=r"takes 16x24 only; export one for 24x16\."):
        first_call(restorer, "cpu", LatencySettings(size=(24, 16)))
    assert len(restorer.calls) == 1


def test_clocks_are_read_where_they_can_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(clocks, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(clocks, "_CPU_FREQUENCIES", tmp_path)
    assert clocks.clocks("cpu") == "CPU clock not readable"
    (tmp_path / "cpu1" / "cpufreq").mkdir(parents=True)
    (tmp_path / "cpu1/cpufreq/scaling_cur_freq").write_text("1800000\n")
    assert clocks.clocks("cpu") == "CPU at 1800 MHz"
    (tmp_path / "cpuinfo").write_text("cpu MHz\t\t: 2445.402\nbogomips\t: 4890.80\ncpu MHz\t\t: 3100.000\n")
    assert clocks.clocks("cpu") == "CPU at 2445 to 3100 MHz"

    monkeypatch.setenv("PATH", str(tmp_path))
    assert clocks.clocks("cuda") == "GPU clocks not readable (no nvidia-smi)"
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\n[ "$1" = --id=GPU-12ab ] && echo "1980 MHz, 2619 MHz, 412.10 W, 51"\n')
    tool.chmod(0o755)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid="12ab"))
    assert clocks.clocks("cuda") == "GPU at 1980 MHz, its memory at 2619 MHz, 412.10 W, 51 C"
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid="other"))
    assert clocks.clocks("cuda") == "GPU clocks not readable (nvidia-smi failed)"


def test_the_device_chooses_the_stopwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "cpu_stopwatch", lambda call: 1.0)
    monkeypatch.setattr(latency, "cuda_stopwatch", lambda call: 2.0)
    monkeypatch.setattr(Tensor, "to", lambda self, device: self)
    settings = LatencySettings(size=(8, 8), warmup=0, rounds=1)
    medians = [time_in_turn({"a": Named("a", [])}, device, settings)["a"].median_ms for device in ("cpu", "cuda")]
    assert np.array_equal(medians, [1.0, 2.0])
