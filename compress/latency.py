"""Latency of targets, each in a process of its own, in turn (A B C A B C) while the others sleep.

In one process, the thread pools of one runtime take the processors of the next: they wait for work by spinning. Taken
in turn, a drift of the machine meets all targets alike.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

import numpy as np
import torch

from baseline.restorer import Restorer
from compress.calm import fall_asleep
from compress.noise import Noise, Turn, noise_of
from compress.target import Target
from compress.timing_process import TimingProcess
from compress.timing_worker import TimingFailedError, TimingWorker

ROUNDS = 20
"""Timed calls of each target, unless more or fewer are asked for."""
_TURNS = 5
"""So often each target has its turn, with a share of its calls."""
_TAKES = 3
"""So often a target is timed before a noisy latency is believed, but no more often than calls are asked for."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds a call: the median and the tenths below and above; and the verdict on them."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    threads: int
    noise: Noise


@dataclass(frozen=True)
class Untimed:
    """Why a target has no latency."""

    reason: str


Timed = Latency | Untimed


def time_in_turn(targets: Mapping[str, Target], rounds: int = ROUNDS) -> dict[str, Timed]:
    """Time every target; so many calls of each count, or more of quick ones. Noisy ones are timed again, to a limit."""
    with contextlib.ExitStack() as stack:
        # Started together: importing torch takes seconds.
        return _timed(targets, {name: stack.enter_context(TimingProcess()) for name in targets}, rounds)


def time_here(restorers: Mapping[str, Restorer], target: Target, rounds: int = ROUNDS) -> dict[str, Timed]:
    """Time restorers that no other process can open, as if each were the target, in this process: for GPUs alone.

    There, nothing waits by spinning between the calls.
    """
    return _timed(dict.fromkeys(restorers, target), {n: TimingWorker(own) for n, own in restorers.items()}, rounds)


class _Worker(Protocol):
    """What times one target: in a process of its own, or in this one."""

    def open(self, target: Target) -> None: ...

    def turn(self, calls: int) -> Turn: ...


def _timed(targets: Mapping[str, Target], workers: Mapping[str, _Worker], rounds: int) -> dict[str, Timed]:
    threads = torch.get_num_threads()
    session = _Session({n: replace(t, threads=t.threads or threads) for n, t in targets.items()}, workers)
    session.open()
    fall_asleep()
    for take in range(1, min(_TAKES, rounds) + 1):
        session.take(rounds, take)
    return {name: session.timed[name] for name in targets}


class _Session:
    """The workers of some targets, and what was found of each until now."""

    def __init__(self, targets: Mapping[str, Target], workers: Mapping[str, _Worker]) -> None:
        self._targets, self._workers = targets, workers
        self.timed: dict[str, Timed] = {}

    def open(self) -> None:
        """Open all targets, one after the other: compilers use every processor."""
        for name, target in self._targets.items():
            try:
                self._workers[name].open(target)
            except TimingFailedError as error:
                self.timed[name] = Untimed(str(error))

    def take(self, rounds: int, number: int) -> None:
        """Time what was not timed yet, or noisy; of two noisy latencies the shorter is kept: noise adds to it."""
        for name, turns in self._turns(rounds).items():
            taken = _latency(turns, self._targets[name].threads or 1, number)
            before = self.timed.get(name)
            if isinstance(before, Latency) and taken.noise.noisy and before.median_ms < taken.median_ms:
                taken = replace(before, noise=replace(before.noise, takes=number))
            self.timed[name] = taken

    def _turns(self, rounds: int) -> dict[str, list[Turn]]:
        count = min(_TURNS, rounds)
        turns: dict[str, list[Turn]] = {name: [] for name in self._targets if self._is_open(name)}
        for _ in range(count):
            for name in list(turns):
                try:
                    turns[name].append(self._workers[name].turn(-(-rounds // count)))
                except TimingFailedError as error:
                    self.timed[name] = Untimed(str(error))
                    del turns[name]
        return turns

    def _is_open(self, name: str) -> bool:
        """Whether a target's latency is still to be found."""
        timed = self.timed.get(name)
        return timed is None or (isinstance(timed, Latency) and timed.noise.noisy)


def _latency(turns: list[Turn], threads: int, takes: int) -> Latency:
    times = list(chain.from_iterable(turn.times_ms for turn in turns))
    p10, median, p90 = (float(q) for q in np.quantile(times, [0.1, 0.5, 0.9]))
    return Latency(median, p10, p90, threads, noise_of(turns, takes))
