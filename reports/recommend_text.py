"""What a recommendation says: lines for people, JSON for programs. Pure functions of records."""

from dataclasses import dataclass
from typing import Any

from reports.digits import latency_text
from reports.markdown import stopped
from reports.noise import noise_text
from reports.recommend import QUANTITIES, Candidate, Choice, Limits, number
from reports.record import Report
from reports.table import DASH, gate_note, is_worse_than_blurred


@dataclass(frozen=True)
class Asked:
    """The limits, and the one runtime and device that count, if not all do."""

    limits: Limits
    runtime: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class Place:
    """The run's folder, and the command that makes in it what is gone; nothing where it cannot be made there."""

    folder: str
    making: str


def recommendation(choice: Choice, limits: Limits, report: Report, place: Place) -> list[str]:
    """What to take, where it lies, and what must be known about it; or what stands in the way."""
    best = choice.recommended
    if best is None:
        return [unmet.said for unmet in choice.unmet]
    return [_take(best), _where(best, report, place), *notes(best, limits), _machine(best, report)]


def left_out(choice: Choice, limits: Limits) -> list[str]:
    """What was not measured and so is not counted as kept, a line for each reason, and the variants that failed."""
    names: dict[tuple[str, str], list[str]] = {}
    for candidate in choice.ranked:
        if candidate.record.status == "done":
            for what, reason in _missing(candidate, limits):
                names.setdefault((what + candidate.place, reason), []).append(candidate.record.name)
    lines = [f"{what} was not measured for {', '.join(those)}: {reason}" for (what, reason), those in names.items()]
    failed = {c.record.name: c.record.error for c in choice.ranked if c.record.status == "failed"}
    return lines + [f"{name} failed: {error or 'the record does not say why'}" for name, error in failed.items()]


WORSE_THAN_BLURRED = "It does worse than leaving the pictures as they are: its gain kept is negative."


def notes(candidate: Candidate, limits: Limits) -> list[str]:
    """Gates that it failed, limits that an interval or a slow call passes, and what its loss was scored as."""
    said = [f"The recipe's {gate_note(gate)}." for gate in candidate.record.gates if not gate.passed]
    said += [WORSE_THAN_BLURRED] if is_worse_than_blurred(candidate.record) else []
    loss, row, kept = candidate.record.metrics.get("psnr_loss_db"), candidate.row, candidate.keeps(limits)
    high = None if loss is None or loss.ci95 is None else loss.ci95[1]
    if kept.get("psnr_loss_db") and high is not None and high > limits["psnr_loss_db"]:
        said.append(f"The 95% interval of its PSNR loss ends at {number(high)} dB, over {limits['psnr_loss_db']:g}.")
    slow = None if row is None else row.p90_ms
    if kept.get("latency_ms") and slow is not None and slow > limits["latency_ms"]:
        said.append(f"One call in ten took longer than {number(slow)} ms, over {limits['latency_ms']:g}.")
    if row is not None and noise_text(row):
        said.append(f"Its latency is noisy: {noise_text(row)}.")
    if loss is not None and loss.value is not None and row is not None and row.runtime not in loss.conditions:
        how = loss.conditions or "the record does not say how it was"
        said.append(f"Its PSNR loss was not scored on {row.runtime}: {stopped(how)}")
    return said


def value_text(candidate: Candidate, key: str) -> str:
    """A value as the report shows it, a loss with its 95% interval; a dash where there is none."""
    if key not in candidate.values:
        return DASH
    value, loss = candidate.values[key], candidate.record.metrics.get("psnr_loss_db")
    if key == "latency_ms":
        return latency_text(value)
    interval = ""
    if key == "psnr_loss_db" and loss is not None and loss.ci95 is not None:
        interval = f" [{loss.ci95[0]:z.2f}, {loss.ci95[1]:z.2f}]"
    return f"{value:z.2f}{interval}"


def choice_json(choice: Choice, asked: Asked) -> dict[str, Any]:
    """The choice with the same keys always; what is missing is null, with its reason in `missing`."""
    best, limits = choice.recommended, asked.limits
    return {
        "recommended": None if best is None else _entry(best, limits),
        "limits": {f"max_{key}": limits.get(key) for key in QUANTITIES}
        | {"runtime": asked.runtime, "device": asked.device},
        "candidates": [_entry(candidate, limits) for candidate in choice.ranked],
        "unmet": [
            {
                "limit": f"max_{unmet.limit}" if unmet.limit in QUANTITIES else unmet.limit,
                "said": unmet.said,
                "nearest": None if unmet.nearest is None else _entry(unmet.nearest, limits),
            }
            for unmet in choice.unmet
        ],
    }


def _entry(candidate: Candidate, limits: Limits) -> dict[str, Any]:
    record, row = candidate.record, candidate.row
    loss = record.metrics.get("psnr_loss_db")
    return {
        "variant": record.name,
        "role": "teacher" if candidate.is_teacher else "variant",
        "status": record.status,
        "error": record.error,
        "runtime": None if row is None else row.runtime,
        "device": None if row is None else row.device,
        "dtype": None if row is None else row.dtype,
        "threads": row.threads if row is not None and candidate.ran else None,
        "picture_size": None if row is None else list(row.size),
        **{key: candidate.values.get(key) for key in QUANTITIES},
        "psnr_loss_ci95_db": None if loss is None or loss.ci95 is None else list(loss.ci95),
        "missing": dict(candidate.missing),
        "keeps": {f"max_{key}": kept for key, kept in candidate.keeps(limits).items()},
        "over": {f"max_{key}": excess for key, excess in candidate.over(limits).items()},
        "fits": candidate.fits(limits),
        "file": candidate.file,
        "notes": notes(candidate, limits),
    }


def _missing(candidate: Candidate, limits: Limits) -> list[tuple[str, str]]:
    """Which of the limited quantities has no value and why; of what no runtime ran, the latency says it all."""
    keys = [key for key in QUANTITIES if key in limits] if candidate.ran else ["latency_ms"]
    return [(QUANTITIES[key].what, candidate.missing[key]) for key in keys if key in candidate.missing]


def _take(best: Candidate) -> str:
    row = best.row
    if row is None:
        raise ValueError(f"{best.name} was not timed and cannot be recommended")
    threads = "1 thread" if row.threads == 1 else f"{row.threads} threads"
    time = f"{value_text(best, 'latency_ms')} ms ({row.dtype}, {threads}, {row.size[0]}x{row.size[1]})"
    said = f"Take {best.name}: {time}, {_said(best, 'size_mb')}, {_said(best, 'psnr_loss_db')}."
    return f"{said} It is the teacher itself: nothing needs compressing." if best.is_teacher else said


def _said(best: Candidate, key: str) -> str:
    quantity = QUANTITIES[key]
    known = f"{value_text(best, key)} {quantity.unit}" if key in best.values else f"unknown ({best.missing[key]})"
    return f"{quantity.what} {known}"


def _where(best: Candidate, report: Report, place: Place) -> str:
    kind = "Artifact" if best.row is not None and best.row.file is None else "File"
    if best.file is not None:
        return f"{kind}: {best.file}"
    if place.making:
        return f"{kind}: not in {place.folder}. Type: {place.making}"
    made_by = report.run.command or "a command that the record does not name"
    return f"{kind}: not in {place.folder}, which is a report alone; its run was made, elsewhere, by: {made_by}"


def _machine(best: Candidate, report: Report) -> str:
    if best.row is not None and best.row.machine is not None:
        return f"Timed on {best.row.machine}; milliseconds hold for that machine."
    key = "gpu" if best.row is not None and best.row.device == "cuda" else "cpu"
    machine = report.run.environment.get(key, "a machine that the record does not name")
    return f"Timed on {machine}; milliseconds hold for that machine."
