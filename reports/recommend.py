"""Which variant of a run to take under limits: the smallest PSNR loss that keeps them all. Records in, choice out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from baseline.measurement import METRICS
from reports.files import files_of
from reports.record import LatencyRow, Report, Variant
from reports.table import timed_at, why_missing


@dataclass(frozen=True)
class Quantity:
    """What can be limited, in words: its option, its name and unit, the best of it, and a value beyond its limit."""

    option: str
    what: str
    unit: str
    best: str
    beyond: str


QUANTITIES: dict[str, Quantity] = {
    "latency_ms": Quantity("--max-latency-ms", "latency", "ms", "the fastest", "too slow"),
    "size_mb": Quantity("--max-size-mb", "file size", "MB", "the smallest", "too large"),
    "psnr_loss_db": Quantity("--max-psnr-loss-db", "PSNR loss", "dB", "the best", "too much"),
}
"""Everything that can be limited; a smaller value is better."""

Limits = Mapping[str, float]
"""The largest allowed value by the key of its quantity."""

EQUAL_LOSS_DB = 10.0 ** -METRICS["psnr_loss_db"].decimals
"""The PSNR losses of two candidates are equal if they differ by no more: the last digit that the report shows."""


@dataclass(frozen=True)
class Found:
    """What lies in the run's folder for a variant and a runtime: a deployable, or an artifact, whose size is None."""

    path: str
    size_mb: float | None = None


@dataclass(frozen=True)
class Candidate:
    """A variant at one place, a runtime on a device, with each quantity's value or the reason why there is none.

    `row` is None where the record has no latency at all, as that of a failed variant. `file` is what to take.
    """

    record: Variant
    is_teacher: bool
    row: LatencyRow | None
    values: Mapping[str, float]
    missing: Mapping[str, str]
    file: str | None = None

    @property
    def ran(self) -> bool:
        """Whether it was made and a runtime ran it: what none ran is never recommended."""
        return self.record.status == "done" and "latency_ms" in self.values

    @property
    def place(self) -> str:
        """The runtime and device, as it follows a name; nothing where there is none."""
        return "" if self.row is None else f" on {', '.join(timed_at(self.row))}"

    @property
    def name(self) -> str:
        """The variant and its place."""
        return self.record.name + self.place

    def keeps(self, limits: Limits) -> dict[str, bool | None]:
        """Whether each limit is kept; None where its value is missing."""
        return {key: self.values[key] <= limit if key in self.values else None for key, limit in limits.items()}

    def over(self, limits: Limits) -> dict[str, float]:
        """By how much each limit that is not kept is exceeded."""
        return {key: self.values[key] - limits[key] for key, kept in self.keeps(limits).items() if kept is False}

    def fits(self, limits: Limits) -> bool:
        """Whether a runtime ran it and every limit is kept."""
        return self.ran and all(self.keeps(limits).values())


@dataclass(frozen=True)
class Unmet:
    """What stands in the way: one limit that nothing meets, all of them `together`, or that nothing was `timed`."""

    limit: str
    said: str
    nearest: Candidate | None = None


@dataclass(frozen=True)
class Choice:
    """All candidates, best first; what is recommended, or else what stands in the way."""

    ranked: list[Candidate]
    recommended: Candidate | None
    unmet: list[Unmet]


def candidates_of(report: Report, found: Mapping[tuple[str, str], Found]) -> list[Candidate]:
    """The teacher and every variant at every place of its record; `found` is by variant and runtime."""
    candidates = []
    for variant in (report.teacher, *report.variants):
        is_teacher = variant is report.teacher
        for row in variant.latency:
            lying = found.get((variant.name, row.runtime))
            candidates.append(_candidate(variant, is_teacher, row, lying))
        if not variant.latency:
            candidates.append(_candidate(variant, is_teacher, None, None))
    return candidates


def at_place(candidates: Iterable[Candidate], runtime: str | None, device: str | None) -> list[Candidate]:
    """Those of one runtime and device, None for any, and those of no place: what was never timed or failed."""
    return [
        candidate
        for candidate in candidates
        if candidate.row is None
        or (runtime in (None, candidate.row.runtime) and device in (None, candidate.row.device))
    ]


def choose(candidates: Iterable[Candidate], limits: Limits) -> Choice:
    """The candidate that keeps every limit with the smallest PSNR loss; of equal losses, the fastest.

    Losses within 0.01 dB of the smallest are equal. The teacher, whose loss is 0, is a candidate like any other.
    """
    ranked = _fastest_of_equals_first(sorted(candidates, key=lambda candidate: _rank(candidate, limits)), limits)
    if ranked and ranked[0].fits(limits):
        return Choice(ranked, ranked[0], [])
    return Choice(ranked, None, _unmet(ranked, limits))


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _candidate(variant: Variant, is_teacher: bool, row: LatencyRow | None, found: Found | None) -> Candidate:
    known: dict[str, float | str] = {
        "latency_ms": why_missing(variant, "latency") if row is None else _latency_ms(variant, row),
        "size_mb": why_missing(variant, "file_mb") if row is None else _size_mb(variant, row, found),
        "psnr_loss_db": 0.0 if is_teacher else _psnr_loss_db(variant),
    }
    values = {key: value for key, value in known.items() if isinstance(value, float)}
    missing = {key: value for key, value in known.items() if isinstance(value, str)}
    return Candidate(variant, is_teacher, row, values, missing, None if found is None else found.path)


def _latency_ms(variant: Variant, row: LatencyRow) -> float | str:
    return row.median_ms if row.median_ms is not None else row.missing or why_missing(variant, "latency")


def _psnr_loss_db(variant: Variant) -> float | str:
    measured = variant.metrics.get("psnr_loss_db")
    value = None if measured is None else measured.value
    return why_missing(variant, "psnr_loss_db") if value is None else value


def _size_mb(variant: Variant, row: LatencyRow, found: Found | None) -> float | str:
    """The size of this runtime's own file: the record's `file_mb` is that of one runtime only, which it names."""
    if row.median_ms is not None and row.file is None:
        return f"{row.runtime} runs the network in memory; there is no file"
    for file in files_of(variant):
        if file.runtime == row.runtime:
            return file.size_mb
    if found is not None and found.size_mb is not None:
        return found.size_mb
    return row.missing or f"the record has no size of its {row.runtime} file, and the run's folder has no such file"


def _rank(candidate: Candidate, limits: Limits) -> tuple[float, ...]:
    """What keeps every limit comes first, by loss and latency; then what misses least, in shares of the limits."""
    return (*_misses(candidate, limits), _loss(candidate), _latency(candidate))


def _misses(candidate: Candidate, limits: Limits) -> tuple[float, ...]:
    """How far a candidate is from being one to take: nothing but zeros for one that keeps every limit."""
    return (
        not candidate.ran,
        sum(kept is None for kept in candidate.keeps(limits).values()),
        sum(excess / limits[key] for key, excess in candidate.over(limits).items()),
    )


def _fastest_of_equals_first(ranked: list[Candidate], limits: Limits) -> list[Candidate]:
    """The same candidates, with those that miss the same and whose loss equals the least of them by latency.

    The difference counts, not the rounded losses: 1.373 and 1.377 dB are equal, 1.371 and 1.389 dB are not.
    """
    ordered: list[Candidate] = []
    while ranked:
        best = ranked[0]
        most = _loss(best) + EQUAL_LOSS_DB
        equals = [c for c in ranked if _misses(c, limits) == _misses(best, limits) and _loss(c) <= most]
        ordered += sorted(equals, key=_latency)
        ranked = ranked[len(equals) :]
    return ordered


def _loss(candidate: Candidate) -> float:
    return candidate.values.get("psnr_loss_db", inf)


def _latency(candidate: Candidate) -> float:
    return candidate.values.get("latency_ms", inf)


def _unmet(ranked: Sequence[Candidate], limits: Limits) -> list[Unmet]:
    ran = [candidate for candidate in ranked if candidate.ran]
    if not ran:
        reason = next((candidate.missing["latency_ms"] for candidate in ranked), "there is none")
        return [Unmet("timed", f"no variant was timed, and what no runtime ran is not recommended: {reason}")]
    alone = [_unmet_alone(ran, key, limits) for key in limits if not any(c.keeps(limits)[key] for c in ran)]
    return alone or [_unmet_together(ran[0], limits)]


def _unmet_alone(ran: Sequence[Candidate], key: str, limits: Limits) -> Unmet:
    """One limit that nothing meets: the best there is, and by how much it misses."""
    quantity, limit = QUANTITIES[key], limits[key]
    asked = f"{quantity.option} {limit:g}"
    known = [candidate for candidate in ran if key in candidate.values]
    if not known:
        return Unmet(key, f"{asked}: nothing is known to meet it; no {quantity.what} is known ({ran[0].missing[key]})")
    best = min(known, key=lambda candidate: candidate.values[key])
    value, over = (f"{number(v)} {quantity.unit}" for v in (best.values[key], best.over(limits)[key]))
    said = f"{asked}: nothing meets it; {quantity.best} is {best.name}, with {value}, {over} {quantity.beyond}"
    return Unmet(key, said, best)


def _unmet_together(nearest: Candidate, limits: Limits) -> Unmet:
    """Limits that are met one by one, but by nothing together: what comes nearest, and all that it misses."""
    asked = " ".join(f"{QUANTITIES[key].option} {limit:g}" for key, limit in limits.items())
    misses = [f"no {QUANTITIES[key].what}: {nearest.missing[key]}" for key in limits if key in nearest.missing]
    for key, over in nearest.over(limits).items():
        quantity = QUANTITIES[key]
        value, beyond = f"{number(nearest.values[key])} {quantity.unit}", f"{number(over)} {quantity.unit}"
        misses.append(f"its {quantity.what} of {value} is {beyond} {quantity.beyond}")
    said = f"{asked}: each is met by something, but all of them together by nothing; the nearest is {nearest.name}: "
    return Unmet("together", said + "; ".join(misses), nearest)
