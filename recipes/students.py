"""The students beside the shipped teacher: what they are for, what they cost, and how fast they are on this machine."""

import json
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from baseline.artifact import Artifact, read_manifest
from baseline.atomic import write_whole
from baseline.data.datasets import open_data
from baseline.errors import UserError
from baseline.folding import deployed_form
from baseline.progress import console, progress
from baseline.settings import DataSettings
from compress.cost import Cost, cost
from compress.latency import Latency, Untimed, time_in_turn
from compress.layer_latency import cache_folder
from compress.machine import describe_machine
from compress.quantize import open_artifact, quantize
from compress.quantizing_settings import QuantizeSettings
from compress.runtimes.table import RUNTIMES, device_of_files, file_runtime
from compress.students import STUDENTS, student_plan
from compress.target import Target
from recipes.keys import code_and_versions, key_of
from recipes.resolve import artifact_folder
from recipes.stages.quantize import material

TEACHER = "photos"
SIZE = (256, 256)
PRECISIONS = ("fp32", "int8")
_PREFERRED = ("openvino", "onnxruntime", "aoti")
"""Runtimes for CPUs, those whose files are made in seconds first."""


_MILLISECONDS = TypeAdapter(dict[str, float | None])
_NOISY = "noisy"


@dataclass(frozen=True)
class Times:
    """Milliseconds by precision, None where it was not timed, and the precisions whose time is noisy."""

    latency_ms: dict[str, float | None]
    noisy: list[str] = field(default_factory=list)


_UNTIMED = Times(dict.fromkeys(PRECISIONS))

TIME = "lightsharp ls students --time"
"""What times them."""


@dataclass(frozen=True)
class StudentRow:
    """A student sized after the shipped teacher: its cost, median milliseconds by precision, and which are noisy."""

    name: str
    about: str
    params: int
    macs: int
    latency_ms: dict[str, float | None]
    noisy: list[str]


@dataclass(frozen=True)
class StudentTable:
    """The teacher's row, those of the students, and under which conditions they were timed, or why they were not.

    `uncounted`: operators that the MACs of any of them leave out.
    """

    teacher: StudentRow
    students: list[StudentRow]
    conditions: str
    uncounted: list[str]


def student_table() -> StudentTable:
    """All students, with the latencies that were taken before on this machine with these versions."""
    networks, runtime = _networks(), _runtime()
    times = {name: _UNTIMED if runtime is None else _known(runtime, artifact) for name, artifact in networks.items()}
    about = {TEACHER: "the shipped teacher"} | STUDENTS.describe()
    costs = _costs(networks)
    rows = [
        StudentRow(name, about[name], costs[name].params, costs[name].macs, **asdict(times[name])) for name in networks
    ]
    uncounted = sorted({name for counted in costs.values() for name in counted.uncounted})
    return StudentTable(rows[0], rows[1:], _conditions(runtime, times), uncounted)


def time_students() -> None:
    """Time what was not timed on this machine yet or, where all was, all again; each is told and kept as it comes.

    A UserError where no runtime can.
    """
    runtime = _runtime()
    if runtime is None:
        raise UserError("--time must have a runtime with files; none is usable here. Type: lightsharp doctor")
    networks = _networks()
    untimed = {name: artifact for name, artifact in networks.items() if _known(runtime, artifact) == _UNTIMED}
    asked = untimed or networks
    with progress(f"timing with {runtime}", len(asked)) as steps:
        for number, (name, artifact) in enumerate(asked.items(), 1):
            times = _timed(runtime, artifact)
            write_whole(_cache(runtime, artifact), json.dumps(times.latency_ms | {_NOISY: times.noisy}))
            said = [f"{precision} {ms:.1f} ms" for precision, ms in times.latency_ms.items() if ms is not None]
            noisy = f"; noisy: {', '.join(times.noisy)}" if times.noisy else ""
            console.print(f"{name}: {', '.join(said)}{noisy}", highlight=False)
            steps(number)


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


def _costs(networks: dict[str, Artifact]) -> dict[str, Cost]:
    """What each costs, counted on one thread: on a busy machine, several wait for each other many times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {name: cost(artifact.network, SIZE) for name, artifact in networks.items()}
    finally:
        torch.set_num_threads(threads)


def _runtime() -> str | None:
    """What times them: the first that is usable here."""
    return next((name for name in _PREFERRED if file_runtime(name).unavailable("cpu") is None), None)


def _conditions(runtime: str | None, times: dict[str, Times]) -> str:
    """Under which conditions they were timed, or why they were not, and what to type."""
    if runtime is None:
        return "not timed: no runtime with files is usable here; type: lightsharp doctor"
    untimed = [name for name, taken in times.items() if taken == _UNTIMED]
    if len(untimed) == len(times):
        return f"not timed on this machine yet; that takes some minutes; type: {TIME}"
    said = f"median ms of one {SIZE[0]}x{SIZE[1]} picture, {runtime}, random weights, fp32 and int8 of each in turn, "
    said += "each in a process of its own, "
    said += f"{torch.get_num_threads()} threads, {describe_machine().get('cpu', 'this CPU')}; "
    noisy = [f"{name} ({', '.join(taken.noisy)})" for name, taken in times.items() if taken.noisy]
    said += f"noisy, as beside other work: {', '.join(noisy)}; " if noisy else ""
    return said + (f"not timed yet: {', '.join(untimed)}; type: {TIME}" if untimed else f"to time them again: {TIME}")


def _cache(runtime: str, artifact: Artifact) -> Path:
    identity = {
        "network": [artifact.architecture, artifact.arguments],
        "size": SIZE,
        "threads": torch.get_num_threads(),
        "machine": describe_machine(),
        "runtime": runtime,
    } | code_and_versions(__name__, packages=RUNTIMES[runtime].packages)
    return cache_folder() / "students" / f"{key_of(identity)}.json"


def _known(runtime: str, artifact: Artifact) -> Times:
    """What was timed here before; nothing if its file is damaged."""
    path = _cache(runtime, artifact)
    if not path.is_file():
        return _UNTIMED
    try:
        content = dict(json.loads(path.read_text()))
        noisy = [str(precision) for precision in content.pop(_NOISY, [])]
        known = _MILLISECONDS.validate_python(content)
    except (ValueError, TypeError):
        known, noisy = {}, []
    if known.keys() != set(PRECISIONS):
        console.print(f"{path} is damaged, and not used", highlight=False, markup=False)
        return _UNTIMED
    return Times(known, noisy)


def _timed(runtime: str, artifact: Artifact) -> Times:
    """Export a network in both precisions, and time them in turn."""
    with tempfile.TemporaryDirectory() as folder:
        files = {
            precision: _exported(artifact, precision, Path(folder) / f"{precision}{RUNTIMES[runtime].suffix}", runtime)
            for precision in PRECISIONS
        }
        taken = time_in_turn({precision: Target(str(path), runtime, size=SIZE) for precision, path in files.items()})
    for precision, one in taken.items():
        if isinstance(one, Untimed):
            console.print(f"{precision} is not timed: {one.reason}", highlight=False, markup=False, style="yellow")
    timed = {precision: one for precision, one in taken.items() if isinstance(one, Latency)}
    milliseconds = {precision: timed[precision].median_ms if precision in timed else None for precision in PRECISIONS}
    return Times(milliseconds, [precision for precision, one in timed.items() if one.noise.noisy])


def _exported(artifact: Artifact, precision: str, path: Path, runtime: str) -> Path:
    """A deployable of a network: its speed does not depend on the few crops that it was calibrated on."""
    folder = path.parent / precision
    if precision == "fp32":
        artifact.save(folder)
    else:
        settings = QuantizeSettings(scheme=precision, calibration="minmax", crops=1, crop=64)
        quantize(artifact, material(open_data(DataSettings()), settings), settings, folder)
    file_runtime(runtime).export(open_artifact(folder, device_of_files(runtime)), path, SIZE)
    return path
