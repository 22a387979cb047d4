"""Timing what a recipe made: each place's subjects in turn, and once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from baseline.restorer import Restorer
from compress.latency import LatencySettings, time_in_turn
from compress.quantize import dtype_of, open_artifact
from compress.runtimes.table import ALWAYS, RUNTIMES, file_runtime, memory_runtime, open_deployable
from recipes.keys import code_and_versions, key_of
from recipes.store import Store
from recipes.subjects import Subject, artifact_of, checksums, packages_of
from reports.record import LatencyRow

if TYPE_CHECKING:
    from recipes.schema import MeasureSettings


@dataclass(frozen=True)
class Place:
    """A runtime on a device."""

    runtime: str
    device: str


def places(settings: MeasureSettings) -> list[Place]:
    """Where to time: every named runtime on every named device that is there; `auto` is every usable one with files."""
    there = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    devices = list(dict.fromkeys(d for named in settings.devices for d in (there if named == "auto" else [named])))
    chosen = [Place(r, d) for d in devices for named in settings.runtimes for r in _meant(named, d)]
    return list(dict.fromkeys(chosen))


def _meant(runtime: str, device: str) -> list[str]:
    """The runtimes that a name stands for on a device: at least one, whose reason is then told if it is not usable."""
    if runtime != "auto":
        return [runtime]
    kinds = [name for name in RUNTIMES if RUNTIMES[name].suffix and device in RUNTIMES[name].devices]
    usable = [name for name in kinds if file_runtime(name).unavailable(device) is None]
    return [*usable, *ALWAYS[device]] or kinds[:1]


def time_cached(
    store: Store, subjects: list[Subject], settings: MeasureSettings, machine: dict[str, str]
) -> dict[str, list[LatencyRow]]:
    """The latency rows of all subjects by name; each place's subjects are timed in turn, or taken from an equal run."""
    rows: dict[str, list[LatencyRow]] = {subject.name: [] for subject in subjects}
    for place in places(settings):
        reasons = {s.name: why_not(s, place) for s in subjects}
        timed = [s for s in subjects if reasons[s.name] is None]
        taken = _timed(store, timed, place, settings, machine) if timed else {}
        for subject in subjects:
            rows[subject.name].append(_row(subject, place, settings, taken.get(subject.name), reasons[subject.name]))
    return {name: _fastest_marked(found) for name, found in rows.items()}


def _fastest_marked(rows: list[LatencyRow]) -> list[LatencyRow]:
    """On every device, the fastest row of several is marked."""
    marked = list(rows)
    for device in {row.device for row in rows}:
        timed = [i for i, row in enumerate(rows) if row.device == device and row.median_ms is not None]
        if len(timed) > 1:
            fastest = min(timed, key=lambda i: rows[i].median_ms or 0)
            marked[fastest] = rows[fastest].model_copy(update={"fastest": True})
    return marked


def in_order(subject: Subject, rows: list[LatencyRow], gated: str | None) -> Subject:
    """The subject with the deployable first that it is scored and sized as: the fastest on a CPU.

    Or that of the runtime whose latency is `gated`, if that has files: one file holds all gates, or none does.
    """
    taken = {row.runtime: row.median_ms for row in rows if row.device == "cpu" and row.median_ms is not None}
    order = sorted(subject.files, key=lambda runtime: (runtime != gated, taken.get(runtime, float("inf"))))
    return replace(subject, files={runtime: subject.files[runtime] for runtime in order})


def why_not(subject: Subject, place: Place) -> str | None:
    """Why a subject has no latency at a place; None if it can be timed."""
    if RUNTIMES[place.runtime].suffix is None:
        if subject.artifact is not None and dtype_of(subject.artifact) == "int8" and place.device == "cuda":
            return "torch has no INT8 convolution on CUDA; runtime tensorrt has"
        return memory_runtime(place.runtime).unavailable(place.device)
    if place.runtime in subject.refused:
        return subject.refused[place.runtime]
    there = place.runtime in subject.files and place.device in RUNTIMES[place.runtime].devices
    return None if there else file_runtime(place.runtime).unavailable(place.device)


def _timed(
    store: Store, subjects: list[Subject], place: Place, settings: MeasureSettings, machine: dict[str, str]
) -> dict[str, dict[str, float]]:
    identity = {
        "latency": {s.name: checksums(s) for s in subjects},
        "place": asdict(place),
        "settings": settings.model_dump(mode="json"),
        "machine": machine,
    } | code_and_versions(__name__, packages=packages_of([place.runtime]))

    def work(output: Path, _: Path) -> None:
        restorers = {s.name: _restorer_at(s, place) for s in subjects}
        timing = LatencySettings(size=settings.size, threads=settings.threads, rounds=settings.rounds)
        taken = time_in_turn(restorers, place.device, timing)
        (output / "latency.json").write_text(json.dumps({name: asdict(one) for name, one in taken.items()}, indent=1))

    key = key_of(identity)
    entry = store.find(key) or store.make(key, identity, work)
    result: dict[str, dict[str, float]] = json.loads((entry / "latency.json").read_text())
    return result


def _restorer_at(subject: Subject, place: Place) -> Restorer:
    if place.runtime in subject.files:
        return open_deployable(subject.files[place.runtime])
    return memory_runtime(place.runtime).wrap(open_artifact(artifact_of(subject)), place.device)


def _row(
    subject: Subject, place: Place, settings: MeasureSettings, taken: dict[str, float] | None, reason: str | None
) -> LatencyRow:
    dtype = "fp32" if subject.artifact is None else dtype_of(subject.artifact)
    common: dict[str, Any] = {
        "runtime": place.runtime,
        "device": place.device,
        "dtype": dtype,
        "batch": 1,
        "size": settings.size,
    }
    if taken is None:
        return LatencyRow(**common, threads=0, missing=reason or "not timed")
    file = subject.files.get(place.runtime)
    return LatencyRow(
        **common,
        threads=int(taken["threads"]),
        median_ms=taken["median_ms"],
        p10_ms=taken["p10_ms"],
        p90_ms=taken["p90_ms"],
        file=None if file is None else file.name,
    )
