"""Several runs in one report: each network once, with the times of all machines side by side."""

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from baseline.atomic import whole_file
from baseline.errors import UserError
from baseline.measurement import METRICS, Measurement
from reports.comparable import COUNTS, QUALITY, Clash, cost_clashes, equal_as_shown, quality_clashes
from reports.files import files_of
from reports.record import RUN_MARK, FileSize, GateVerdict, LatencyRow, Report, RunInfo, Variant

Named = tuple[str, Report]
"""A run's name in the merged report, and its own report."""

_SAME_TEACHER = (*COUNTS, "psnr_db")
_IN_TURN = (
    "Latencies of different runs were not taken in turn: each run has columns of its own, and a change is against "
    "the teacher as the same run timed it. So is that of a file's size."
)
_FIRST = "Of a row that several runs have, effort and file size are those of the first of them."


@dataclass(frozen=True)
class Gathered:
    """One row of the merged report: its name, and the equal rows of the runs that have it."""

    name: str
    entries: list[tuple[str, Variant]]


def merge(reports: Sequence[Named]) -> Report:
    """One report of several runs; a UserError if numbers would share a column that must not. One alone stays as it is.

    Rows of the same name, chain and numbers become one. Others of the same name are kept apart as `name (run)`.
    """
    if len(reports) == 1:
        return reports[0][1]
    for name, report in reports:
        _check_unmerged(name, report)
    for other in reports[1:]:
        _check_shared(reports[0], other)
    machines = _machines(reports)
    teacher, *variants = gathered(reports)
    return Report(
        run=_run_info(reports, [teacher, *variants]),
        teacher=_joined(teacher, machines),
        variants=[_joined(row, machines) for row in variants],
    )


def gathered(reports: Sequence[Named]) -> list[Gathered]:
    """The rows of the merged report: the teacher, then the variants in the order in which they first appear."""
    teachers = [(run, report.teacher) for run, report in reports]
    rows = [Gathered(teachers[0][1].name, teachers)]
    for name in dict.fromkeys(variant.name for _, report in reports for variant in report.variants):
        entries = [(run, variant) for run, report in reports for variant in report.variants if variant.name == name]
        groups = _grouped(entries)
        for group in groups:
            runs = ", ".join(run for run, _ in group)
            rows.append(Gathered(name if len(groups) == 1 else f"{name} ({runs})", group))
    return rows


def copy_pictures(runs: Sequence[tuple[str, Report, Path]], out: Path) -> None:
    """Copy the sample pictures of runs, each a name, a report and a folder, to where the merged page looks for them."""
    folders = {name: folder / "pictures" for name, _, folder in runs}
    teacher, *variants = gathered([(name, report) for name, report, _ in runs])
    columns = {column: [(run, column) for run in folders] for column in ("blurred", "sharp")}
    columns["teacher"] = [(run, "teacher") for run, _ in teacher.entries]
    columns |= {row.name: [(run, variant.name) for run, variant in row.entries] for row in variants}
    for picture in _samples([report for _, report, _ in runs]):
        for column, sources in columns.items():
            target = out / "pictures" / picture / f"{column}.webp"
            target.unlink(missing_ok=True)
            found = (folders[run] / picture / f"{file}.webp" for run, file in sources)
            source = next((path for path in found if path.is_file()), None)
            if source is not None:
                with whole_file(target) as beside:
                    shutil.copyfile(source, beside)


def is_merged(report: Report) -> bool:
    """Whether a report is one of several runs."""
    return any(row.machine is not None for variant in (report.teacher, *report.variants) for row in variant.latency)


def _check_unmerged(name: str, report: Report) -> None:
    if is_merged(report):
        raise UserError(
            f"{name} must be the report of one run; it is one of several ({report.run.name}). Name those runs instead."
        )


def _check_shared(first: Named, other: Named) -> None:
    """A UserError that says what two runs do not share though one report of both would claim it."""
    clashes = [*quality_clashes(first[1], other[1]), *cost_clashes(first[1], other[1])]
    clashes += _teacher_clashes(first[1], other[1])
    for clash in clashes[:1]:
        raise UserError(
            f"the runs of one report must have the same {clash.what}; {first[0]} has {clash.one}, "
            f"{other[0]} has {clash.other}. Leave {other[0]} out, or run its recipe again with {clash.advice}."
        )


def _teacher_clashes(one: Report, other: Report) -> list[Clash]:
    """What shows that two teachers are not the same network, or does not show that they are."""
    found = []
    for key in _SAME_TEACHER:
        values = [report.teacher.value(key) for report in (one, other)]
        if values[0] is None or values[1] is None or not equal_as_shown(key, values[0], values[1]):
            own, others = (_text(key, value) for value in values)
            named = one.run.teacher if one.run.teacher != other.run.teacher else None
            advice = f"--set teacher.network={named}" if named else "the same teacher"
            found.append(Clash(f"teacher (its {METRICS[key].title})", own, others, advice))
    return found


def _text(metric: str, value: float | None) -> str:
    if value is None:
        return "none recorded"
    return " ".join(f"{value:.{METRICS[metric].decimals}f} {METRICS[metric].unit}".split())


def _grouped(entries: Iterable[tuple[str, Variant]]) -> list[list[tuple[str, Variant]]]:
    """The entries of one name in groups that are the same network."""
    groups: list[list[tuple[str, Variant]]] = []
    for run, variant in entries:
        group = next((group for group in groups if _is_same(group[0][1], variant)), None)
        if group is None:
            groups.append([(run, variant)])
        else:
            group.append((run, variant))
    return groups


def _is_same(one: Variant, other: Variant) -> bool:
    """Whether two rows of a name were made in the same way, and all that both measured of them is equal as shown."""
    if (one.chain, one.status, one.error) != (other.chain, other.status, other.error):
        return False
    for key in (*COUNTS, *QUALITY):
        values = one.value(key), other.value(key)
        if values[0] is None or values[1] is None:
            # Older records lack some metrics of quality, but none lacks these.
            if values[0] != values[1] and key in _SAME_TEACHER:
                return False
        elif not equal_as_shown(key, values[0], values[1]):
            return False
    return True


def _machines(reports: Sequence[Named]) -> dict[tuple[str, str], str]:
    """What a run's times on a device are labelled with: the processor or GPU, and the run if others have the same."""
    named = {
        (run, row.device): report.run.environment.get("gpu" if row.device == "cuda" else "cpu", "unknown machine")
        for run, report in reports
        for variant in (report.teacher, *report.variants)
        for row in variant.latency
    }
    count = Counter((device, name) for (_, device), name in named.items())
    return {
        (run, device): name if count[device, name] == 1 else f"{name}, run {run}"
        for (run, device), name in named.items()
    }


def _joined(row: Gathered, machines: dict[tuple[str, str], str]) -> Variant:
    """One row of all its entries: what does not depend on the machine from the first, and every time that was taken."""
    first = row.entries[0][1]
    return first.model_copy(
        update={
            "name": row.name,
            "metrics": {key: _measurement(key, row) for key in METRICS if _measured(key, row)},
            "files": _files(row),
            "latency": [_placed(timed, machines[run, timed.device]) for run, v in row.entries for timed in v.latency],
            "missing": _reasons(row),
            "gates": _gates(row),
            "details": _details(row),
            "pictures": next((variant.pictures for _, variant in row.entries if variant.pictures), []),
        }
    )


def _placed(row: LatencyRow, machine: str) -> LatencyRow:
    return row.model_copy(update={"machine": machine})


def _files(row: Gathered) -> list[FileSize]:
    """Every file of every run, after the run's name; first that of which `file_mb` is the size."""
    entries = sorted(row.entries, key=lambda entry: entry[1].value("file_mb") is None)
    return [file.model_copy(update={"run": run}) for run, variant in entries for file in files_of(variant)]


def _measured(key: str, row: Gathered) -> list[tuple[str, Measurement]]:
    return [(run, variant.metrics[key]) for run, variant in row.entries if key in variant.metrics]


def _measurement(key: str, row: Gathered) -> Measurement:
    """The first entry's measurement that has a value; of a file's size, the others are told in its conditions."""
    found = _measured(key, row)
    run, taken = next(((run, one) for run, one in found if one.value is not None), found[0])
    others = [
        f"{name}: {_text(key, one.value)}, {one.conditions}"
        for name, one in found
        if name != run and one.value is not None and (one.value, one.conditions) != (taken.value, taken.conditions)
    ]
    if key != "file_mb" or not others:
        return taken
    return taken.model_copy(update={"conditions": "; ".join([f"{run}: {taken.conditions}", *others])})


def _reasons(row: Gathered) -> dict[str, str]:
    """Why something is not there; where the runs say different things, who says what."""
    reasons: dict[str, str] = {}
    for key in dict.fromkeys(key for _, variant in row.entries for key in variant.missing):
        said = {run: variant.missing[key] for run, variant in row.entries if key in variant.missing}
        alike = len(set(said.values())) == 1 and len(said) == len(row.entries)
        own = (f"{run}: {reason}" for run, reason in said.items())
        reasons[key] = next(iter(said.values())) if alike else "; ".join(own)
    return reasons


def _gates(row: Gathered) -> list[GateVerdict]:
    """Every verdict; one that not all runs give names its run."""
    verdicts: list[GateVerdict] = []
    everywhere = [gate for gate in row.entries[0][1].gates if all(gate in variant.gates for _, variant in row.entries)]
    for run, variant in row.entries:
        own = (gate for gate in variant.gates if gate not in everywhere)
        verdicts += [gate.model_copy(update={"gate": f"{gate.gate}, run {run}"}) for gate in own]
    return [*everywhere, *verdicts]


def _details(row: Gathered) -> list[dict[str, object]]:
    """The first entry's findings, and those of files that only other runs wrote."""
    details = list(row.entries[0][1].details)
    for _, variant in row.entries[1:]:
        known = {detail.get("stage") for detail in details}
        exports = (detail for detail in variant.details if str(detail.get("stage", "")).startswith("export: "))
        details += [detail for detail in exports if detail["stage"] not in known]
    return details


def _run_info(reports: Sequence[Named], rows: Sequence[Gathered]) -> RunInfo:
    """What all rows have in common, and what each run has for itself, under its name."""
    infos = {name: report.run for name, report in reports}
    teachers = {info.teacher for info in infos.values()}
    told = {info.description: f"{name}: {info.description}" for name, info in infos.items()}
    first = reports[0][1].run
    blurred = ("blurred_psnr_db", "blurred_ssim", "blurred_lpips", "blurred_edge_sharpness")
    known = {
        field: next((value for info in infos.values() if (value := getattr(info, field)) is not None), None)
        for field in blurred
    }
    return first.model_copy(
        update={
            "name": " + ".join(infos),
            "description": first.description if len(told) == 1 else " ".join(told.values()),
            "teacher": first.teacher if len(teachers) == 1 else None,
            "conditions": [*_conditions(infos), *_own_conditions(reports, rows)],
            "environment": {
                f"{name}{RUN_MARK}{key}": value
                for name, info in infos.items()
                for key, value in info.environment.items()
            },
            "command": "; ".join(info.command for info in infos.values() if info.command),
            "blurred_pictures": next((i.blurred_pictures for i in infos.values() if i.blurred_pictures), []),
            "sample_pictures": _samples([report for _, report in reports]),
            **known,
        }
    )


def _conditions(infos: dict[str, RunInfo]) -> list[str]:
    """Every line once: as it is if all runs have it, and else after the names of those that do."""
    lines: dict[str, list[str]] = {}
    for name, info in infos.items():
        for line in info.conditions:
            lines.setdefault(line, []).append(name)
    return [
        line if len(names) == len(infos) else f"{', '.join(names)}{RUN_MARK}{line}" for line, names in lines.items()
    ]


def _own_conditions(reports: Sequence[Named], rows: Sequence[Gathered]) -> list[str]:
    """What holds only because there are several runs."""
    of_run = {name: [row.name for row in rows if any(run == name for run, _ in row.entries)] for name, _ in reports}
    lines = [*(f"Rows of {name}: {', '.join(names)}." for name, names in of_run.items()), _IN_TURN, _FIRST]
    scored = {name: report.teacher.metrics["psnr_db"] for name, report in reports}
    if len({one.conditions for one in scored.values()}) > 1:
        told = "; ".join(f"{name}: {_text('psnr_db', one.value)}, {one.conditions}" for name, one in scored.items())
        lines.append(f"The teacher was not scored as the same file everywhere, with the same result: {told}.")
    return lines


def _samples(reports: Iterable[Report]) -> list[str]:
    return list(dict.fromkeys(name for report in reports for name in report.run.sample_pictures))
