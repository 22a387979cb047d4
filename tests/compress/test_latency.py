from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from compress import clocks, latency
from compress.latency import Latency, Timed, Untimed, time_here, time_in_turn
from compress.noise import Turn
from compress.target import Target
from compress.timing_worker import TimingFailedError

Script = dict[str, list[Turn | str | None]]
"""What the turns of each target give in their order, or why they fail; None of a target that cannot be opened."""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Script, list[str]]]:
    """Timing processes that give what is written down for them, and the log of what they were asked for."""
    script: Script = {}
    log: list[str] = []

    class Scripted:
        def __enter__(self) -> "Scripted":
            return self

        def __exit__(self, *_: object) -> None:
            log.append("closed")

        def open(self, target: Target) -> None:
            self.name = target.path
            if script[self.name][0] is None:
                raise TimingFailedError("it does not open")

        def turn(self, calls: int) -> Turn:
            log.append(f"{self.name}{calls}")
            given = script[self.name].pop(0)
            if not isinstance(given, Turn):
                raise TimingFailedError(str(given))
            return given

    monkeypatch.setattr(latency, "TimingProcess", Scripted)
    yield script, log
    assert log[-len(script) :] == ["closed"] * len(script)


def timed(names: str, rounds: int = 20) -> dict[str, Timed]:
    return time_in_turn({name: Target(name, "aoti", threads=2) for name in names}, rounds)


def calm(*times_ms: float) -> Turn:
    return Turn(list(times_ms), 2.0, 0.0)


def busy(*times_ms: float) -> Turn:
    return Turn(list(times_ms), 2.0, 0.5)


def test_targets_have_their_turns_one_after_the_other(scripted: tuple[Script, list[str]]) -> None:
    script, log = scripted
    script |= {"a": [calm(*range(i, i + 3)) for i in (100, 101, 102, 100, 101)], "b": [calm(20.0)] * 5}
    taken = timed("ab", rounds=11)
    assert log[:10] == ["a3", "b3"] * 5  # 11 calls in 5 turns are 3 in each
    one = taken["a"]
    assert isinstance(one, Latency)
    # In order: 100 twice, 101 four times, 102 five times, 103 three times and 104.
    assert (one.median_ms, one.threads, one.noise.takes) == (102, 2, 1)
    assert (one.p10_ms, one.p90_ms) == pytest.approx((100.4, 103))


@pytest.mark.parametrize(("rounds", "turns"), [(1, ["a1"]), (3, ["a1"] * 3), (5, ["a1"] * 5), (20, ["a4"] * 5)])
def test_calls_are_shared_out_among_at_most_five_turns(
    scripted: tuple[Script, list[str]], rounds: int, turns: list[str]
) -> None:
    script, log = scripted
    script["a"] = [calm(1.0)] * 5
    timed("a", rounds)
    assert log[:-1] == turns


def test_only_a_noisy_latency_is_taken_again_until_it_is_calm(scripted: tuple[Script, list[str]]) -> None:
    script, log = scripted
    script |= {"a": [calm(10.0)] * 2, "b": [busy(30.0)] * 2 + [calm(20.0)] * 2}
    taken = timed("ab", rounds=2)
    assert log[:-2] == ["a1", "b1", "a1", "b1", "b1", "b1"]
    found = {n: (t.median_ms, t.noise.noisy, t.noise.takes) for n, t in taken.items() if isinstance(t, Latency)}
    assert found == {"a": (10, False, 1), "b": (20, False, 2)}


def test_what_stays_noisy_says_so_with_the_least_of_three(scripted: tuple[Script, list[str]]) -> None:
    script, log = scripted
    script["a"] = [busy(ms) for ms in (30.0, 25.0, 40.0) for _ in range(3)]
    one = timed("a", rounds=3)["a"]
    assert isinstance(one, Latency)
    assert (one.median_ms, one.noise.noisy, one.noise.takes) == (25, True, 3)
    assert [reason.kind for reason in one.noise.reasons] == ["other_load"]
    assert log[:-1] == ["a1"] * 9


def test_a_single_call_is_taken_once(scripted: tuple[Script, list[str]]) -> None:
    script, log = scripted
    script["a"] = [busy(30.0), calm(20.0)]
    one = timed("a", rounds=1)["a"]
    assert isinstance(one, Latency)
    assert (one.median_ms, one.noise.noisy, one.noise.takes, log[:-1]) == (30, True, 1, ["a1"])


def test_what_fails_is_one_targets_failure(scripted: tuple[Script, list[str]]) -> None:
    script, log = scripted
    ended = "its process ended with SIGSEGV: it said nothing"
    script |= {"a": [calm(1.0), ended], "b": [None], "c": [calm(2.0)] * 5}
    taken = timed("abc")
    assert (taken["a"], taken["b"]) == (Untimed(ended), Untimed("it does not open"))
    assert isinstance(taken["c"], Latency)
    assert log[:-3] == ["a4", "c4", "a4", "c4", "c4", "c4", "c4"]


class Counting:
    """A restorer in memory that counts its calls."""

    size_multiple = 1
    min_size = 2
    fixed_size: tuple[int, int] | None = None
    max_batch: int | None = None

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []

    def __call__(self, blurred: Tensor) -> Tensor:
        self.calls.append((*blurred.shape, torch.get_num_threads()))
        return blurred


def test_restorers_that_no_file_holds_are_timed_in_this_process() -> None:
    restorers = {"a": Counting(), "b": Counting()}
    taken = time_here(restorers, Target("", "eager", size=(8, 16), threads=2), rounds=1)
    assert all(isinstance(one, Latency) for one in taken.values())
    assert all(set(restorer.calls) == {(1, 3, 8, 16, 2)} for restorer in restorers.values())


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
