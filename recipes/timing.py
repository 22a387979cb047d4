"""The measure command: networks by name on several runtimes, sizes, batches and threads, timed in turn."""

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from baseline.errors import UserError
from baseline.restorer import Restorer
from compress.clocks import clocks
from compress.latency import Latency, LatencySettings, first_call, time_in_turn
from compress.memory import Loadable, peak_mb
from compress.quantize import dtype_of, open_artifact
from compress.runtimes.table import RUNTIMES, file_runtime, runtime_of
from recipes.measuring import Place, why_not
from recipes.resolve import artifact_folder, is_deployable
from recipes.subjects import Subject
from reports.record import LatencyRow


@dataclass(frozen=True)
class Grid:
    """What to time: every network on every runtime, for every size, batch and number of threads (None: torch's)."""

    runtimes: tuple[str, ...] = ("auto",)
    sizes: tuple[tuple[int, int], ...] = ((256, 256),)
    batches: tuple[int, ...] = (1,)
    threads: tuple[int | None, ...] = (None,)
    device: str = "cpu"
    rounds: int = 20
    memory: bool = False

    def settings(self) -> Iterator[LatencySettings]:
        """One for each combination; those of one size follow each other."""
        for size, batch, threads in itertools.product(self.sizes, self.batches, self.threads):
            yield LatencySettings(size, batch, threads, rounds=self.rounds)


@dataclass(frozen=True)
class Measured:
    """A row for each network, runtime and combination, and the clocks right after the last round."""

    rows: list[LatencyRow]
    conditions: str


@dataclass(frozen=True)
class _Timed:
    """One thing to time: a deployable, an artifact in memory, or an artifact that is exported for it."""

    network: str
    runtime: str
    dtype: str
    source: Path
    exported: bool = False
    cuda_graphs: bool | None = None
    reason: str | None = None

    @property
    def label(self) -> str:
        """Names it, and it alone, in one run."""
        return f"{self.network} on {runtime_label(self.runtime, self.cuda_graphs)}"


def runtime_label(runtime: str, cuda_graphs: bool | None) -> str:
    """A runtime as a table names it."""
    return f"{runtime} without graphs" if cuda_graphs is False else runtime


def measure_named(names: tuple[str, ...], grid: Grid) -> Measured:
    """Time every named network; what cannot be timed has a row with the reason. A UserError if nothing can."""
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"networks must be named once each; '{name}' is named {names.count(name)} times.")
    runtimes = _runtimes(grid.runtimes)
    subjects = [subject for name in names for subject in _subjects(name, runtimes, grid.device)]
    rows: list[LatencyRow] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Path(folder), grid.device)
        for settings in grid.settings():
            rows += bench.rows(subjects, settings, grid.memory)
        conditions = _conditions(grid.device)
    if all(row.missing for row in rows):
        first = rows[0]
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        raise UserError(
            f"{first.network} must be something that can be timed on {grid.device} with {first.runtime}; "
            f"{str(first.missing).removesuffix('.')}{more}."
        )
    return Measured(rows, conditions)


def _conditions(device: str) -> str:
    read = f"{clocks(device)} right after"
    if device == "cpu":
        return read
    return f"{read}; TF32 in FP32 convolutions {'on' if torch.backends.cudnn.allow_tf32 else 'off'}"


@dataclass
class _Bench:
    """What is opened stays open, so that the next combination need not compile or load it again."""

    folder: Path
    device: str
    opened: dict[_Timed, Restorer] = field(default_factory=dict)
    files: dict[_Timed, Path] = field(default_factory=dict)

    def rows(self, subjects: list[_Timed], settings: LatencySettings, memory: bool) -> list[LatencyRow]:
        """A row for each subject: all that can be are timed in turn."""
        reasons = {subject: subject.reason or self._prepare(subject, settings) for subject in subjects}
        restorers = {s.label: self.opened[s] for s in subjects if reasons[s] is None}
        taken = time_in_turn(restorers, self.device, settings) if restorers else {}
        rows = [self._row(s, settings, taken.get(s.label), reasons[s], memory) for s in subjects]
        return _marked(rows)

    def _prepare(self, subject: _Timed, settings: LatencySettings) -> str | None:
        """Open a subject if it is not open, and let it run once; the reason if it does not."""
        try:
            restorer = self.opened.get(subject)
            outgrown = subject.exported and restorer is not None and restorer.fixed_size not in (None, settings.size)
            if restorer is None or outgrown:
                if subject.exported:
                    self.files[subject] = self._export(subject, settings.size)
                self.opened[subject] = self._loadable(subject).open()
            first_call(self.opened[subject], self.device, settings)
        except (UserError, RuntimeError) as error:  # a compiler, a kernel or the memory may not be up to the network
            return (str(error).strip().splitlines() or [type(error).__name__])[0].removesuffix(".")
        return None

    def _export(self, subject: _Timed, size: tuple[int, int]) -> Path:
        path = self.folder / str(len(self.files)) / f"{subject.source.name}{RUNTIMES[subject.runtime].suffix}"
        path.parent.mkdir(exist_ok=True)
        file_runtime(subject.runtime).export(open_artifact(subject.source), path, size)
        return path

    def _loadable(self, subject: _Timed) -> Loadable:
        path = self.files.get(subject, subject.source)
        return Loadable(str(path), subject.runtime, self.device, subject.cuda_graphs is not False)

    def _row(
        self, subject: _Timed, settings: LatencySettings, taken: Latency | None, reason: str | None, memory: bool
    ) -> LatencyRow:
        row = LatencyRow(
            network=subject.network,
            runtime=subject.runtime,
            cuda_graphs=subject.cuda_graphs,
            device=self.device,
            dtype=subject.dtype,
            threads=settings.threads or torch.get_num_threads(),
            batch=settings.batch,
            size=settings.size,
            missing=reason,
        )
        if taken is None:
            return row
        file = self.files.get(subject) or (subject.source if subject.source.is_file() else None)
        timed = {
            "median_ms": taken.median_ms,
            "p10_ms": taken.p10_ms,
            "p90_ms": taken.p90_ms,
            "file": file and file.name,
        }
        return row.model_copy(update=timed | self._peak(subject, settings, memory))

    def _peak(self, subject: _Timed, settings: LatencySettings, memory: bool) -> dict[str, float | str]:
        if not memory:
            return {"peak_missing": "ask with --memory"}
        try:
            return {"peak_mb": peak_mb(self._loadable(subject), settings)}
        except UserError as error:
            return {"peak_missing": str(error)}


def _marked(rows: list[LatencyRow]) -> list[LatencyRow]:
    """The rows of one combination, with the fastest of each network that has several marked."""
    fastest = {}
    for network in {row.network for row in rows}:
        timed = [row for row in rows if row.network == network and row.median_ms is not None]
        if len(timed) > 1:
            fastest[network] = min(timed, key=lambda row: row.median_ms or 0)
    return [row.model_copy(update={"fastest": fastest.get(row.network) is row}) for row in rows]


def _runtimes(asked: tuple[str, ...]) -> list[str]:
    """The runtimes for artifacts, each once; `auto` stands for all that need no file."""
    in_memory = [name for name in RUNTIMES if RUNTIMES[name].suffix is None]
    for name in asked:
        if name != "auto":
            RUNTIMES[name]
    return list(dict.fromkeys(r for name in asked for r in (in_memory if name == "auto" else [name])))


def _subjects(name: str, runtimes: list[str], device: str) -> list[_Timed]:
    """What a name stands for: its file, or its artifact on each runtime; on CUDA inductor with graphs and without."""
    if is_deployable(name):
        kind = runtime_of(Path(name).suffix)
        reason = None if device in RUNTIMES[kind].devices else file_runtime(kind).unavailable(device)
        return [_Timed(name, kind, "as built", Path(name), reason=reason)]
    folder = artifact_folder(name)
    subjects = []
    for runtime in runtimes:
        reason = why_not(Subject(name, folder, {}), Place(runtime, device))
        exported = RUNTIMES[runtime].suffix is not None
        subject = _Timed(name, runtime, dtype_of(folder), folder, exported, reason=reason)
        if runtime == "inductor" and device == "cuda":
            subjects += [replace(subject, cuda_graphs=True), replace(subject, cuda_graphs=False)]
        else:
            subjects.append(subject)
    return subjects
