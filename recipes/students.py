"""The students beside the shipped teacher: what they are for, what they cost, and how fast they are on this machine."""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from baseline.artifact import Artifact, read_manifest
from baseline.data.datasets import open_data
from baseline.folding import deployed_form
from baseline.output import write_whole
from baseline.progress import console, progress
from baseline.restorer import Restorer
from baseline.settings import DataSettings
from compress.cost import cost
from compress.latency import LatencySettings, time_in_turn
from compress.layer_latency import cache_folder
from compress.machine import describe_machine
from compress.quantize import open_artifact, quantize
from compress.runtimes.table import RUNTIMES, file_runtime, open_deployable
from compress.settings import QuantizeSettings
from compress.students import STUDENTS, student_plan
from recipes.resolve import artifact_folder
from recipes.stages.quantize import material
from recipes.store import key_of, library_versions

TEACHER = "photos"
SIZE = (256, 256)
PRECISIONS = ("fp32", "int8")
_PREFERRED = ("openvino", "onnxruntime", "aoti")
"""Runtimes for CPUs, those whose files are made in seconds first."""


_Times = dict[str, dict[str, float | None]]
"""Milliseconds by network and precision."""
_TIMES = TypeAdapter(_Times)


@dataclass(frozen=True)
class StudentRow:
    """A student sized after the shipped teacher: its cost, and median milliseconds by precision (None: not timed)."""

    name: str
    about: str
    params: int
    macs: int
    latency_ms: dict[str, float | None]


@dataclass(frozen=True)
class StudentTable:
    """The teacher's row, those of the students, and under which conditions they were timed, or why they were not."""

    teacher: StudentRow
    students: list[StudentRow]
    conditions: str


def student_table(timed: bool) -> StudentTable:
    """All students. `timed`: time them where that has not been done on this machine with these versions."""
    networks = _networks()
    runtime = next((name for name in _PREFERRED if file_runtime(name).unavailable("cpu") is None), None)
    found, conditions = {}, "not timed: no runtime with files is usable here; type: lightsharp doctor"
    if runtime is not None:
        found = _known(runtime, networks) or (_timed(runtime, networks) if timed else {})
        conditions = f"median ms of one {SIZE[0]}x{SIZE[1]} picture, {runtime}, random weights, all in turn, "
        conditions += f"{torch.get_num_threads()} threads, {describe_machine().get('cpu', 'this CPU')}"
        if not found:
            conditions = "not timed on this machine yet: leave --no-measure out"
    about = {TEACHER: "the shipped teacher"} | STUDENTS.describe()
    rows = []
    for name, artifact in networks.items():
        counted = cost(artifact.network, SIZE)
        rows.append(
            StudentRow(name, about[name], counted.params, counted.macs, found.get(name, dict.fromkeys(PRECISIONS)))
        )
    return StudentTable(rows[0], rows[1:], conditions)


def as_json(table: StudentTable) -> dict[str, Any]:
    """The table as `ls students --json` prints it."""
    return asdict(table)


def _networks() -> dict[str, Artifact]:
    """Teacher and students as they are deployed, with random weights: they cost what trained ones do."""
    manifest = read_manifest(artifact_folder(TEACHER))
    teacher = (manifest.architecture, manifest.arguments)
    plans = {TEACHER: teacher} | {name: student_plan(name, teacher, {}) for name in STUDENTS}
    networks = {}
    for name, plan in plans.items():
        networks[name] = deployed_form(Artifact.new(*plan, seed=0))
        networks[name].network.eval()
    return networks


def _cache(runtime: str, networks: dict[str, Artifact]) -> Path:
    identity = {
        "networks": {name: [artifact.architecture, artifact.arguments] for name, artifact in networks.items()},
        "machine": describe_machine(),
        "runtime": runtime,
        "versions": library_versions(RUNTIMES[runtime].packages),
    }
    return cache_folder() / "students" / f"{key_of(identity)}.json"


def _known(runtime: str, networks: dict[str, Artifact]) -> _Times:
    """What was timed here before; nothing if its file is damaged or lacks a network."""
    path = _cache(runtime, networks)
    if not path.is_file():
        return {}
    try:
        known = _TIMES.validate_json(path.read_text())
    except ValueError:
        known = {}
    if any(known.get(name, {}).keys() != set(PRECISIONS) for name in networks):
        console.print(f"{path} is damaged, and not used", highlight=False, markup=False)
        return {}
    return known


def _timed(runtime: str, networks: dict[str, Artifact]) -> _Times:
    """Export everything in both precisions, time it in turn, and keep that."""
    console.print(f"timing {len(networks)} networks on this machine, once: a minute each", highlight=False)
    restorers: dict[tuple[str, str], Restorer] = {}
    with tempfile.TemporaryDirectory() as folder, progress("exporting", len(PRECISIONS) * len(networks)) as steps:
        for name, artifact in networks.items():
            for precision in PRECISIONS:
                path = Path(folder) / name / f"{precision}{RUNTIMES[runtime].suffix}"
                restorers[name, precision] = _exported(artifact, precision, path, runtime)
                steps(len(restorers))
        labels = {f"{name} {precision}": restorer for (name, precision), restorer in restorers.items()}
        taken = time_in_turn(labels, "cpu", LatencySettings(SIZE))
    found: _Times = {
        name: {precision: taken[f"{name} {precision}"].median_ms for precision in PRECISIONS} for name in networks
    }
    write_whole(_cache(runtime, networks), json.dumps(found))
    return found


def _exported(artifact: Artifact, precision: str, path: Path, runtime: str) -> Restorer:
    """A deployable of a network: its speed does not depend on the few crops that it was calibrated on."""
    folder = path.parent / precision
    if precision == "fp32":
        artifact.save(folder)
    else:
        settings = QuantizeSettings(scheme=precision, calibration="minmax", crops=1, crop=64)
        quantize(artifact, material(open_data(DataSettings()), settings), settings, folder)
    file_runtime(runtime).export(open_artifact(folder), path, SIZE)
    return open_deployable(path)
