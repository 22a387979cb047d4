"""Under which conditions a report's numbers were taken, and how to get them again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reports.record import RUN_MARK, Report
from reports.table import timed_at, why_missing

_MACHINE = {
    "cpu": "processor",
    "cores": "cores",
    "cpu_features": "instruction sets",
    "gpu": "GPU",
    "system": "system",
    "threads": "threads",
}
_COUNTED = ("params", "macs", "file_mb")


@dataclass(frozen=True)
class Fact:
    """One heading of the conditions with what there is to say."""

    title: str
    lines: list[str]


def facts(report: Report) -> list[Fact]:
    """Machine, versions, threads, seeds, data, counters and licences; what the records do not say is said so."""
    machine, versions = _environment(report.run.environment)
    found = {
        "Data": _data(report),
        "Measured how": [line for line in report.run.conditions if not line.startswith("Data: ")],
        "Counted by": _counters(report),
        "Timed with": _timings(report),
        "Seeds": _seeds(report),
        "Machine": machine,
        "Versions": versions,
        "Licence of the pictures": [picture_licence(report.run.data)],
    }
    return [Fact(title, lines or ["the record does not say"]) for title, lines in found.items()]


def _environment(environment: dict[str, str]) -> tuple[list[str], list[str]]:
    """Lines for the machine and for the versions; of a report of several runs, for those of each."""
    machine, versions = [], []
    runs = dict.fromkeys(key.rpartition(RUN_MARK)[0] for key in environment)
    for run in runs:
        prefix = run + RUN_MARK if run else ""
        own = {key.removeprefix(prefix): v for key, v in environment.items() if key.rpartition(RUN_MARK)[0] == run}
        machine += [f"{prefix}{title}: {own[key]}" for key, title in _MACHINE.items() if key in own]
        named = ", ".join(f"{key} {value}" for key, value in own.items() if key not in _MACHINE)
        versions += [prefix + named] if named else []
    return machine, versions


def picture_licence(data: str) -> str:
    """Whose the pictures are that this page may show."""
    if data.startswith("photos"):
        return "The photographs are public domain or CC0; authors and sources: baseline/shipped/CREDITS.md."
    if data.startswith("text"):
        return "The pages of text are rendered by the program, from invented words."
    return "The pictures are the user's own, or of a data set that the user brought: its licence holds for them."


def _data(report: Report) -> list[str]:
    """The data and what of them is scored on."""
    scored = report.teacher.pictures or report.run.blurred_pictures
    groups = len({picture.group for picture in scored})
    sources = "1 photograph or sequence" if groups == 1 else f"{groups} photographs or sequences"
    split = f"scored on the test split: {len(scored)} pairs from {sources}"
    notes = [line.removeprefix("Data: ") for line in report.run.conditions if line.startswith("Data: ")]
    return [report.run.data, *([split] if scored else []), *notes]


def _counters(report: Report) -> list[str]:
    """What counted each cost, once for all rows it holds for; what it left out is told with each network."""
    lines: dict[str, list[str]] = {}
    rows = [report.teacher, *report.variants]
    for key in _COUNTED:
        for row in rows:
            measured = row.metrics.get(key)
            if measured is not None and measured.conditions:
                how = measured.conditions.partition(";")[0]
                lines.setdefault(f"{key}: {how}", []).append(row.name)
    return [line if len(names) == len(rows) else f"{line} ({', '.join(names)})" for line, names in lines.items()]


def _timings(report: Report) -> list[str]:
    """Each way of timing that was used."""
    rows = [row for variant in (report.teacher, *report.variants) for row in variant.latency]
    ways = []
    for row in rows:
        if row.median_ms is not None:
            runtime, *place = timed_at(row)
            how = f"{row.threads} threads, batch {row.batch}, {row.size[0]}x{row.size[1]} pixels"
            ways.append(f"{runtime} on {', '.join(place)}: {how}")
    return list(dict.fromkeys(ways)) or [f"nothing was timed: {why_missing(report.teacher, 'latency')}"]


def _seeds(report: Report) -> list[str]:
    """The seeds that records name; every stage's own is 0 unless its settings say otherwise."""
    seeds: dict[str, list[str]] = {}
    for variant in (report.teacher, *report.variants):
        for seed in dict.fromkeys(_named(variant.details)):
            seeds.setdefault(str(seed), []).append(variant.name)
    named = [f"{seed} ({', '.join(names)})" for seed, names in seeds.items()]
    return [*named, "0 for every step that names no other"]


def _named(item: Any) -> Iterator[Any]:
    """Every value of a key `seed`, at any depth."""
    if isinstance(item, dict):
        for key, inner in item.items():
            yield from [inner] if key == "seed" else _named(inner)
    elif isinstance(item, list):
        for inner in item:
            yield from _named(inner)
