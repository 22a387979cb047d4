"""Scoring and timing what a recipe made: both cached, neither a stage."""

import importlib.util
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from baseline.artifact import read_manifest, rebuild
from baseline.checksum import file_sha256
from baseline.data.loader import to_picture, to_tensor
from baseline.data.pairs import DataSet, PairSet
from baseline.data.pictures import write_picture
from baseline.evaluate import PictureScore, Unchanged, score
from baseline.restorer import Restorer, restore_any_size
from compress.cost import cost, weight_bytes
from compress.latency import LatencySettings, time_in_turn
from compress.quantize import dtype_of, open_artifact
from compress.runtimes.table import ALWAYS, RUNTIMES, file_runtime, files_of, memory_runtime, open_deployable
from recipes.schema import MeasureSettings
from recipes.stages.stage import OPENING
from recipes.store import Store, key_of, library_versions, own_network_sha256, source_sha256
from reports.record import LatencyRow

_SOURCES = (*OPENING, "compress/cost.py", "compress/products.py")
"""The code that scores and counts depend on."""

_SAMPLES = 3


@dataclass(frozen=True)
class Subject:
    """Something to score and time: an artifact's folder (None: the blurred input) and its deployables by runtime.

    `refused` says of other runtimes why they have no file of it.
    """

    name: str
    artifact: Path | None
    files: Mapping[str, Path]
    refused: Mapping[str, str] = field(default_factory=dict)


def artifact_of(subject: Subject) -> Path:
    """The artifact's folder of a subject that has one."""
    if subject.artifact is None:
        raise ValueError(f"'{subject.name}' is the blurred input and has no artifact")
    return subject.artifact


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


def sample_names(pairs: PairSet) -> list[str]:
    """The names of the test pictures that are kept as files: a few, evenly spread over the set."""
    count = min(_SAMPLES, len(pairs))
    return [pairs.names[(2 * i + 1) * len(pairs) // (2 * count)] for i in range(count)]


def score_cached(store: Store, subject: Subject, data: DataSet, pairs: PairSet) -> tuple[list[PictureScore], Path]:
    """The scores of every pair, and the folder of sample pictures, computed once for a subject and a data set."""
    identity = {
        "evaluate": None if subject.artifact is None else _checksums(subject),
        "as": how_scored(subject),
        "data": data.manifest,
        "pictures": len(pairs),
        "sources": source_sha256((*_SOURCES, "compress/runtimes")),
        "versions": library_versions(_packages(subject.files)),
    }

    def work(output: Path, _: Path) -> None:
        restorer = scored_restorer(subject)
        rows = [asdict(row) for row in score(restorer, pairs)]
        (output / "scores.json").write_text(json.dumps(rows, indent=1))
        for pair in pairs.only(sample_names(pairs)):
            restored = restore_any_size(restorer, to_tensor(pair.blurred)[None])[0]
            path = output / "pictures" / f"{pair.name}.webp"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picture(to_picture(restored), path)

    key = key_of(identity)
    entry = store.find(key) or store.make(key, identity, work)
    rows = json.loads((entry / "scores.json").read_text())
    return [PictureScore(**row) for row in rows], entry / "pictures"


def scored_restorer(subject: Subject) -> Restorer:
    """What a subject is scored as: its first deployable, or the network in memory if it has none."""
    if subject.artifact is None:
        return Unchanged()
    for path in subject.files.values():
        return open_deployable(path)
    return memory_runtime("eager").wrap(open_artifact(subject.artifact), "cpu")


def how_scored(subject: Subject) -> str:
    """What a subject is scored as, in words."""
    if subject.artifact is None:
        return "as it is"
    return next((f"as its {runtime} file" for runtime in subject.files), "in memory (eager), no file")


def cost_cached(store: Store, artifact: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Parameters, MACs and bytes of an artifact's deployed graph, counted once."""
    identity = {
        "cost": _network_checksums(artifact),
        "size": size,
        "sources": source_sha256(_SOURCES),
        "versions": library_versions(),
    }

    def work(output: Path, _: Path) -> None:
        counted = cost(rebuild(read_manifest(artifact)), size)
        stored = {**asdict(counted), "weight_bytes": weight_bytes(open_artifact(artifact), counted.params)}
        (output / "cost.json").write_text(json.dumps(stored, indent=1))

    key = key_of(identity)
    entry = store.find(key) or store.make(key, identity, work)
    counted: dict[str, Any] = json.loads((entry / "cost.json").read_text())
    return counted


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
        "latency": {s.name: _checksums(s) for s in subjects},
        "place": asdict(place),
        "settings": settings.model_dump(mode="json"),
        "machine": machine,
        "sources": source_sha256((*OPENING, "compress/latency.py", "compress/runtimes")),
        "versions": library_versions(_packages([place.runtime])),
    }

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


def _packages(runtimes: Iterable[str]) -> tuple[str, ...]:
    """The optional packages of runtimes, as far as they are here: what has no file because one is not is not run."""
    return tuple(
        dict.fromkeys(p for runtime in runtimes for p in RUNTIMES[runtime].packages if importlib.util.find_spec(p))
    )


def _network_checksums(artifact: Path) -> dict[str, str]:
    """The checksums of an artifact and, of a user's own network, of its code."""
    own = own_network_sha256(read_manifest(artifact).architecture)
    return {"artifact": file_sha256(artifact / "model.json")} | ({} if own is None else {"own_network": own})


def _checksums(subject: Subject) -> dict[str, str]:
    artifact = {} if subject.artifact is None else _network_checksums(subject.artifact)
    return artifact | {r: " ".join(map(file_sha256, files_of(path))) for r, path in subject.files.items()}
