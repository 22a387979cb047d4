import subprocess
import sys
from collections import namedtuple

import pytest

from compress import calm
from compress.calm import OtherLoad, fall_asleep, pace_ms

BURN = "import time\nwhile time.process_time() < 0.6: pass"


class Clocks:
    """Stand-in clocks: a pool of threads computes for some milliseconds of each that passes, and then no more."""

    def __init__(self, spins_s: float) -> None:
        self.now, self.computed, self.spins_s = 0.0, 0.0, spins_s

    def sleep(self, seconds: float) -> None:
        self.computed += min(seconds, max(0.0, self.spins_s - self.now))
        self.now += seconds

    def monotonic(self) -> float:
        return self.now

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.computed


def test_a_process_is_asleep_when_no_thread_of_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = Clocks(spins_s=0.2)
    monkeypatch.setattr(calm, "time", clocks)
    assert fall_asleep()
    assert 0.2 <= clocks.now < 0.3


def test_threads_that_never_sleep_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calm, "time", Clocks(spins_s=1e9))
    assert not fall_asleep(limit_s=1.0)


def test_what_another_process_computes_is_other_load() -> None:
    load = OtherLoad()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    assert load.seconds() > 0.5
    assert load.share() > 0


def test_own_work_idle_time_and_guests_are_no_other_load(monkeypatch: pytest.MonkeyPatch) -> None:
    times = namedtuple("times", ["user", "system", "idle", "iowait", "steal", "guest"])
    clocks = Clocks(spins_s=1.0)
    read = iter([times(10, 2, 100, 3, 1, 4), times(13, 2.5, 200, 6, 1.5, 6)])
    monkeypatch.setattr(calm, "time", clocks)
    monkeypatch.setattr(calm.psutil, "cpu_times", lambda: next(read))
    monkeypatch.setattr(calm.psutil, "cpu_count", lambda: 2)
    load = OtherLoad()
    clocks.sleep(5)
    # 3 s of users, half a second each of the system and of other machines on this one; 1 s of it is this process.
    assert load.share() == pytest.approx((4 - 1) / (5 * 2))


def test_the_pace_is_the_least_of_several_times_of_one_computation(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([3.0, 2.5, 2.0, 9.0, 4.0])
    monkeypatch.setattr(calm, "cpu_stopwatch", lambda call: (call(), next(times))[1])
    assert pace_ms("cpu") == 2.0
