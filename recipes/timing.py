"""The measure command: networks by name on several runtimes, sizes, batches and threads, timed in turn."""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from baseline.artifact import check_code
from baseline.errors import UserError
from compress.clocks import clocks
from compress.latency import ROUNDS, Timed, Untimed, time_in_turn
from compress.memory import peak_mb
from compress.quantize import dtype_of, open_artifact
from compress.runtimes.table import RUNTIMES, device_of_files, file_runtime, runtime_of
from compress.target import Target
from recipes.fitting import told_size, unloaded
from recipes.measuring import Place, numbers_of, why_not
from recipes.resolve import artifact_folder, is_deployable
from recipes.subjects import Subject
from reports.record import LatencyRow


@dataclass(frozen=True)
class Combination:
    """What all networks are timed with: height and width, images in a batch, threads."""

    size: tuple[int, int]
    batch: int
    threads: int


@dataclass(frozen=True)
class Grid:
    """What to time: every network on every runtime, for every size, batch and number of threads (None: torch's)."""

    runtimes: tuple[str, ...] = ("auto",)
    sizes: tuple[tuple[int, int], ...] = ((256, 256),)
    batches: tuple[int, ...] = (1,)
    threads: tuple[int | None, ...] = (None,)
    device: str = "cpu"
    rounds: int = ROUNDS
    memory: bool = False

    def combinations(self) -> Iterator[Combination]:
        """One for each size, batch and number of threads; those of one size follow each other."""
        for size, batch, threads in itertools.product(self.sizes, self.batches, self.threads):
            yield Combination(size, batch, threads or torch.get_num_threads())


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
        bench = _Bench(Path(folder), grid)
        for combination in grid.combinations():
            rows += bench.rows(subjects, combination)
        conditions = _conditions(grid.device)
    if all(row.missing for row in rows):
        first = rows[0]
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        raise UserError(
            f"{first.network} must be something that can be timed on {grid.device} with {first.runtime}; "
            f"{str(first.missing).removesuffix('.')}{more}."
        )
    return Measured(rows, conditions)


def default_size(names: tuple[str, ...]) -> tuple[int, int]:
    """The height and width to time at if none are typed, which all artifacts among the named take."""
    networks = []
    for name in names:
        if not is_deployable(name):
            with suppress(UserError):  # its row says it
                networks.append(unloaded(artifact_folder(name)))
    return told_size(networks)


def _conditions(device: str) -> str:
    read = f"{clocks(device)} right after"
    if device == "cpu":
        return read
    return f"{read}; TF32 in FP32 convolutions {'on' if torch.backends.cudnn.allow_tf32 else 'off'}"


@dataclass
class _Bench:
    """What is exported serves all combinations that its files take."""

    folder: Path
    grid: Grid
    files: dict[_Timed, Path] = field(default_factory=dict)
    exported_for: dict[_Timed, tuple[int, int]] = field(default_factory=dict)

    def rows(self, subjects: list[_Timed], combination: Combination) -> list[LatencyRow]:
        """A row for each subject: all that can be are timed in turn."""
        reasons = {s: s.reason or self._why_no_file(s, combination.size) for s in subjects}
        targets = {s.label: self._target(s, combination) for s in subjects if reasons[s] is None}
        taken: dict[str, Timed] = time_in_turn(targets, self.grid.rounds) if targets else {}
        timed = {s: taken.get(s.label, Untimed(reasons[s] or "not timed")) for s in subjects}
        return _marked([self._row(s, combination, timed[s]) for s in subjects])

    def _why_no_file(self, subject: _Timed, size: tuple[int, int]) -> str | None:
        """Export a subject that needs a file and has none that takes the size; the reason if that fails."""
        known = self.exported_for.get(subject)
        if not subject.exported or known == size or (known is not None and not RUNTIMES[subject.runtime].one_size):
            return None
        try:
            self.files[subject] = self._export(subject, size)
        except (UserError, RuntimeError) as error:  # a compiler or the memory may not be up to the network
            return (str(error).strip().splitlines() or [type(error).__name__])[0].removesuffix(".")
        self.exported_for[subject] = size
        return None

    def _export(self, subject: _Timed, size: tuple[int, int]) -> Path:
        path = self.folder / str(len(self.files)) / f"{subject.source.name}{RUNTIMES[subject.runtime].suffix}"
        path.parent.mkdir(exist_ok=True)
        network = open_artifact(subject.source, device_of_files(subject.runtime))
        file_runtime(subject.runtime).export(network, path, size)
        return path

    def _target(self, subject: _Timed, combination: Combination) -> Target:
        path = str(self.files.get(subject, subject.source))
        graphs = subject.cuda_graphs is not False
        size, batch, threads = combination.size, combination.batch, combination.threads
        return Target(path, subject.runtime, self.grid.device, size, batch, threads, graphs)

    def _row(self, subject: _Timed, combination: Combination, timed: Timed) -> LatencyRow:
        row = LatencyRow(
            network=subject.network,
            runtime=subject.runtime,
            cuda_graphs=subject.cuda_graphs,
            device=self.grid.device,
            dtype=subject.dtype,
            threads=combination.threads,
            batch=combination.batch,
            size=combination.size,
        )
        if isinstance(timed, Untimed):
            return row.model_copy(update={"missing": timed.reason})
        file = self.files.get(subject) or (subject.source if subject.source.is_file() else None)
        numbers = numbers_of(timed) | {"file": file and file.name}
        return row.model_copy(update=numbers | self._peak(self._target(subject, combination)))

    def _peak(self, target: Target) -> dict[str, float | str]:
        if not self.grid.memory:
            return {"peak_missing": "ask with --memory"}
        try:
            return {"peak_mb": peak_mb(target)}
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
    check_code(folder)
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
