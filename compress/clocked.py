"""Widths for a latency, verified by the clock: the plan is built, deployed, timed, and corrected once if needed."""

import copy
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from baseline.errors import UserError
from baseline.restorer import Restorer
from compress.channels import removed
from compress.half import HalfPrecision
from compress.latency import Latency, Timed, Untimed, time_here, time_in_turn
from compress.prune import PrunePlan, Surveyed, plan
from compress.pruning_settings import LatencyPlace, PruneSettings
from compress.runtimes.table import RUNTIMES, file_runtime, memory_runtime
from compress.sensitivity import Sensitivity
from compress.target import Target

_CLOSE = 0.03
"""How far the measured latency may be from the asked one, as a share of it, before the plan is corrected."""

Clock = Callable[[nn.Module, nn.Module, LatencyPlace], dict[str, float | str]]
"""The unpruned and the pruned network -> `unpruned_latency_ms` and `latency_ms`, or `missing` with the reason.

Where one is noisy, `noise` holds the kinds of its reasons.
"""

_CLOCKED_AS = {"cpu": "aoti", "cuda": "inductor"}
"""The runtime that the clock is read on: the one that single layers are timed with, too."""


def measure_both(unpruned: nn.Module, pruned: nn.Module, place: LatencyPlace) -> dict[str, float | str]:
    """Median milliseconds of both as deployables, timed in turn; on CUDA in memory, where there are no files."""
    runtime = _CLOCKED_AS[place.device]
    unavailable = (file_runtime if RUNTIMES[runtime].suffix else memory_runtime)(runtime).unavailable(place.device)
    if unavailable:
        return {"missing": unavailable}
    networks = {"unpruned": unpruned, "pruned": pruned}
    if RUNTIMES[runtime].suffix is None:
        taken = time_here(
            {name: _in_memory(n, runtime, place) for name, n in networks.items()}, _target("", runtime, place)
        )
    else:
        with tempfile.TemporaryDirectory() as folder:
            files = {name: _exported(n, runtime, place, Path(folder) / name) for name, n in networks.items()}
            taken = time_in_turn({name: _target(str(path), runtime, place) for name, path in files.items()})
    return _as_measured(taken["unpruned"], taken["pruned"], runtime)


def _as_measured(unpruned: Timed, pruned: Timed, runtime: str) -> dict[str, float | str]:
    for one in (unpruned, pruned):
        if isinstance(one, Untimed):
            return {"missing": one.reason}
    both = [one for one in (unpruned, pruned) if isinstance(one, Latency)]
    noise = dict.fromkeys(reason.kind for one in both for reason in one.noise.reasons)
    measured: dict[str, float | str] = {
        "unpruned_latency_ms": both[0].median_ms,
        "latency_ms": both[1].median_ms,
        "runtime": runtime,
    }
    return measured | ({"noise": " ".join(noise)} if noise else {})


def plan_by_clock(
    network: nn.Module,
    surveyed: Surveyed,
    settings: PruneSettings,
    curves: Sensitivity | None,
    clock: Clock = measure_both,
) -> PrunePlan:
    """The plan whose measured latency comes nearest to the asked one, out of the first and one correction of it."""
    return _in_clock_ms(_nearest(network, surveyed, settings, curves, clock))


def _nearest(
    network: nn.Module, surveyed: Surveyed, settings: PruneSettings, curves: Sensitivity | None, clock: Clock
) -> PrunePlan:
    first = _timed(network, plan(surveyed, settings, curves), settings, clock)
    asked, found = _asked_ms(first, settings), (first.measured or {}).get("latency_ms")
    if asked is None or found is None or abs(float(found) / asked - 1) <= _CLOSE:
        return first
    # Where the table says 50 ms and the clock 55, 50 are asked of the clock by asking 50 x 50 / 55 of the table.
    limit_ms = first.predicted["latency_ms"] * asked / float(found)
    try:
        second = _timed(network, plan(surveyed, settings, curves, limit_ms), settings, clock)
    except UserError:  # no widths are narrow or wide enough for the correction: the first plan stands, as measured
        return first
    corrected = float((second.measured or {}).get("latency_ms", math.inf))
    return second if abs(corrected - asked) < abs(float(found) - asked) else first


def _in_clock_ms(planned: PrunePlan) -> PrunePlan:
    """The prediction in the clock's milliseconds: the table's share of what the unpruned network was measured to take.

    A table that is kept was taken when a shared machine was faster or slower: one's pace drifted by a fifth in minutes.
    """
    whole = (planned.measured or {}).get("unpruned_latency_ms")
    if whole is None:
        return planned
    by_table = planned.predicted
    scale = float(whole) / by_table["unpruned_latency_ms"]
    restated = {key: scale * by_table[key] for key in ("latency_ms", "unpruned_latency_ms")}
    return replace(planned, predicted=by_table | restated)


def _timed(network: nn.Module, planned: PrunePlan, settings: PruneSettings, clock: Clock) -> PrunePlan:
    surveyed = planned.surveyed
    pruned = removed(network, surveyed.channels, surveyed.removal(planned.chosen.widths))
    place = settings.latency.model_copy(update={"size": surveyed.priced.size})
    return replace(planned, measured=clock(network, pruned.eval(), place))


def _asked_ms(planned: PrunePlan, settings: PruneSettings) -> float | None:
    """The asked milliseconds; None where only a share was asked for and nothing could be measured."""
    name, asked = settings.target
    if name == "latency_ms":
        return asked
    whole = (planned.measured or {}).get("unpruned_latency_ms")
    return None if whole is None else (1 - asked) * float(whole)


def _target(path: str, runtime: str, place: LatencyPlace) -> Target:
    return Target(path, runtime, place.device, place.size, threads=place.threads)


def _in_memory(network: nn.Module, runtime: str, place: LatencyPlace) -> Restorer:
    own = copy.deepcopy(network)
    return memory_runtime(runtime).wrap(HalfPrecision(own.half()) if place.dtype == "fp16" else own, place.device)


def _exported(network: nn.Module, runtime: str, place: LatencyPlace, stem: Path) -> Path:
    path = stem.with_suffix(str(RUNTIMES[runtime].suffix))
    file_runtime(runtime).export(network, path, place.size)
    return path
