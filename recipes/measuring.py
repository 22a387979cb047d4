"""Timing what a recipe made: each place's subjects in turn, and once."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter

from compress.latency import Latency, Timed, Untimed, time_in_turn
from compress.quantize import dtype_of
from compress.runtimes.table import ALWAYS, RUNTIMES, file_runtime, memory_runtime
from compress.target import Target
from recipes.keys import code_and_versions, key_of
from recipes.store import Store
from recipes.subjects import Subject, artifact_of, checksums, packages_of
from reports.record import LatencyRow, Noise

if TYPE_CHECKING:
    from recipes.schema import MeasureSettings

_LATENCIES = "latency.json"
_TIMED = TypeAdapter(dict[str, Timed])


@dataclass(frozen=True)
class Place:
    """A runtime on a device."""

    runtime: str
    device: str


def places(settings: MeasureSettings) -> list[Place]:
    """Where to time: every named runtime on every named device; `auto` is every usable one with files.

    A device that is not named but there (`auto`) has the runtimes of the named ones that run on it, or its own if none.
    """
    there = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    named = [device for device in settings.devices if device != "auto"]
    found = there if "auto" in settings.devices else []
    chosen = [Place(r, d) for d in named for runtime in settings.runtimes for r in _meant(runtime, d)]
    chosen += [Place(r, d) for d in found for runtime in _running_on(settings.runtimes, d) for r in _meant(runtime, d)]
    return list(dict.fromkeys(chosen))


def _running_on(runtimes: list[str], device: str) -> list[str]:
    """Those of the runtimes that run on a device; the device's own where none does."""
    fitting = [name for name in runtimes if name == "auto" or device in RUNTIMES[name].devices]
    return fitting or list(ALWAYS[device]) or runtimes


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
            found = taken.get(subject.name, Untimed(reasons[subject.name] or "not timed"))
            rows[subject.name].append(_row(subject, place, settings, found))
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


def numbers_of(latency: Latency) -> dict[str, Any]:
    """The times and the verdict, as a row holds them."""
    times = {"median_ms": latency.median_ms, "p10_ms": latency.p10_ms, "p90_ms": latency.p90_ms}
    return times | {"noise": Noise.model_validate(asdict(latency.noise))}


def _timed(
    store: Store, subjects: list[Subject], place: Place, settings: MeasureSettings, machine: dict[str, str]
) -> dict[str, Timed]:
    """What an equal run took, unless some of it is noisy or failed: then all is timed again."""
    identity = {
        "latency": {s.name: checksums(s) for s in subjects},
        "place": asdict(place),
        "settings": settings.model_dump(mode="json"),
        "machine": machine,
    } | code_and_versions(__name__, packages=packages_of([place.runtime]))

    def work(output: Path, _: Path) -> None:
        taken = time_in_turn({s.name: _target(s, place, settings) for s in subjects}, settings.rounds)
        (output / _LATENCIES).write_bytes(_TIMED.dump_json(taken, indent=1))

    key = key_of(identity)
    entry = store.find(key)
    if entry is not None and not _is_settled(_read(entry)):
        shutil.rmtree(entry)
        entry = None
    return _read(entry or store.make(key, identity, work))


def _read(entry: Path) -> dict[str, Timed]:
    return _TIMED.validate_json((entry / _LATENCIES).read_bytes())


def _is_settled(taken: dict[str, Timed]) -> bool:
    return all(isinstance(one, Latency) and not one.noise.noisy for one in taken.values())


def _target(subject: Subject, place: Place, settings: MeasureSettings) -> Target:
    path = subject.files.get(place.runtime) or artifact_of(subject)
    return Target(str(path), place.runtime, place.device, settings.size, threads=settings.threads)


def _row(subject: Subject, place: Place, settings: MeasureSettings, taken: Timed) -> LatencyRow:
    row = LatencyRow(
        runtime=place.runtime,
        device=place.device,
        dtype="fp32" if subject.artifact is None else dtype_of(subject.artifact),
        batch=1,
        size=settings.size,
        threads=0,
    )
    if isinstance(taken, Untimed):
        return row.model_copy(update={"missing": taken.reason})
    file = subject.files.get(place.runtime)
    update = {"threads": taken.threads, "file": None if file is None else file.name}
    return row.model_copy(update=numbers_of(taken) | update)
