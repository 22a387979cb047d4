"""What changed between two runs, and whether a difference exceeds the noise of its measurement."""

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from baseline.measurement import METRICS, Mean
from reports.change import NumberChange, beyond_noise
from reports.comparable import Clash, cost_clashes, equal_as_shown, quality_clashes
from reports.latency_diff import latency_changes, other_machine
from reports.paired import PAIRED, mean_difference
from reports.record import Report, Variant
from reports.table import why_missing


class TextChange(BaseModel):
    """Something that is said of a run or a variant; null where one of them does not say it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str = Field(description="a variant's name, a key of the environment, or the title of a condition")
    old: str | None = Field(description="what the old run says")
    new: str | None = Field(description="what the new run says")


class Difference(BaseModel):
    """What changed from one run to another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    old: str = Field(description="the old run's name")
    new: str = Field(description="the new run's name")
    added: list[str] = Field(description="variants that only the new run has")
    removed: list[str] = Field(description="variants that only the old run has")
    chains: list[TextChange] = Field(description="variants of both runs that are made differently")
    environment: list[TextChange] = Field(description="machine and versions that differ")
    conditions: list[TextChange] = Field(description="data and ways of measuring that differ")
    numbers: list[NumberChange] = Field(description="every number of the teacher and of variants of both runs")

    def with_verdict(self, *verdicts: str) -> list[NumberChange]:
        """The numbers that came to one of these verdicts."""
        return [number for number in self.numbers if number.verdict in verdicts]


def difference(old: tuple[str, Report], new: tuple[str, Report]) -> Difference:
    """What changed from the old to the new of two reports, each after its name."""
    one, other = old[1], new[1]
    names = [{variant.name: variant for variant in report.variants} for report in (one, other)]
    both = [(variant, names[1][name]) for name, variant in names[0].items() if name in names[1]]
    rows = [(one.teacher, other.teacher), *both]
    chains = {a.name: (" → ".join(a.chain), " → ".join(b.chain)) for a, b in rows}
    compared = _Compared(one, other)
    return Difference(
        old=old[0],
        new=new[0],
        added=[name for name in names[1] if name not in names[0]],
        removed=[name for name in names[0] if name not in names[1]],
        chains=_text_changes({k: v[0] for k, v in chains.items()}, {k: v[1] for k, v in chains.items()}),
        environment=_text_changes(one.run.environment, other.run.environment),
        conditions=_text_changes(_conditions(one), _conditions(other)),
        numbers=[change for a, b in rows for change in compared.numbers(a, b)],
    )


class _Compared:
    """Two reports, and what keeps which of their numbers from being compared."""

    def __init__(self, one: Report, other: Report) -> None:
        self._one = one
        self._other = other
        self._quality = _because(quality_clashes(one, other))
        self._cost = _because(cost_clashes(one, other))
        self._machine = other_machine(one, other)

    def numbers(self, old: Variant, new: Variant) -> Iterator[NumberChange]:
        """Every number of a variant; of one that failed in one of the runs, only that."""
        if old.status != new.status:
            yield _status(old, new)
            return
        for key in METRICS:
            change = _change(key, old, new)
            if change.old is not None and change.new is not None:
                yield self._judged(change, old, new)
            elif change.old is not None or change.new is not None:
                yield _one_sided(change, new)
        yield from latency_changes(old, new, self._machine)
        yield from _gates(old, new)

    def _judged(self, change: NumberChange, old: Variant, new: Variant) -> NumberChange:
        obstacle = self._obstacle(change.what, old, new)
        if obstacle:
            return change.judged("not comparable", obstacle)
        if change.what not in PAIRED:
            return _exact(change)
        found = mean_difference(change.what, (self._one, old), (self._other, new))
        return change.judged("not comparable", found) if isinstance(found, str) else _paired(change, found)

    def _obstacle(self, key: str, old: Variant, new: Variant) -> str:
        """Why two values of a metric cannot be compared; nothing if they can."""
        if key in PAIRED:
            return self._quality
        if key == "file_mb":
            before, after = (variant.metrics[key].conditions for variant in (old, new))
            return self._machine if before == after else f"not the same file ({before} → {after})"
        return self._cost


def _change(key: str, old: Variant, new: Variant) -> NumberChange:
    before, after = old.value(key), new.value(key)
    apart = None if before is None or after is None else after - before
    unit = METRICS[key].unit
    return NumberChange(
        variant=old.name, what=key, unit=unit, old=before, new=after, difference=apart, verdict="not comparable"
    )


def _exact(change: NumberChange) -> NumberChange:
    """A count or a size: there is no noise. Code is compiled to a few bytes more or less: a file is taken as shown."""
    apart = change.difference or 0.0
    same = equal_as_shown(change.what, apart, 0) if change.what == "file_mb" else apart == 0
    return change.judged("same" if same else beyond_noise(apart, METRICS[change.what].direction))


def _paired(change: NumberChange, found: Mean) -> NumberChange:
    """A mean over pictures: it differs if the report would show it and the interval of the difference leaves out 0."""
    change = change.model_copy(update={"difference": found.mean, "ci95": found.ci95})
    if equal_as_shown(change.what, found.mean, 0):
        return change.judged("same")
    if found.ci95 is None:
        return change.judged("not comparable", "all pictures are of one photograph: there is no interval")
    if not found.beyond_zero:
        return change.judged("within noise")
    return change.judged(beyond_noise(found.mean, METRICS[change.what].direction))


def _one_sided(change: NumberChange, new: Variant) -> NumberChange:
    """A number that only one run has: it is lost if the new run says why; an old record may lack what is new."""
    if change.old is None:
        return change.judged("not comparable", "it was not measured before")
    if change.what in new.metrics:
        return change.judged("worse", f"it is not there any more: {why_missing(new, change.what)}")
    return change.judged("not comparable", "it is not measured any more")


def _status(old: Variant, new: Variant) -> NumberChange:
    """A variant that failed, or that no longer does."""
    if new.status == "failed":
        reason = f"it failed: {new.error or 'the record does not say why'}"
        return NumberChange(variant=old.name, what="status", verdict="worse", reason=reason)
    return NumberChange(variant=old.name, what="status", verdict="better", reason="it no longer fails")


def _gates(old: Variant, new: Variant) -> Iterator[NumberChange]:
    """Gates whose verdict is another; what they rest on is judged for itself."""
    before = {gate.gate: gate for gate in old.gates}
    for gate in new.gates:
        earlier = before.get(gate.gate)
        if earlier is not None and earlier.passed != gate.passed:
            words = {True: "holds", False: "failed", None: "not judged"}
            reason = f"{words[earlier.passed]} (limit {earlier.limit:g}) → {words[gate.passed]} (limit {gate.limit:g})"
            yield NumberChange(
                variant=old.name,
                what=f"gate {gate.gate}",
                old=earlier.measured,
                new=gate.measured,
                verdict="changed",
                reason=reason,
            )


def _because(clashes: Sequence[Clash]) -> str:
    """What keeps numbers from being compared, or nothing."""
    return "; ".join(f"not the same {clash.what}: {clash.one} → {clash.other}" for clash in clashes)


def _conditions(report: Report) -> dict[str, str]:
    """The data, the teacher's name, and every condition by its title; lines of one title together."""
    run = report.run
    told = {"data set": run.data} | ({} if run.teacher is None else {"teacher": run.teacher})
    for line in run.conditions:
        title, mark, text = line.partition(": ")
        told[title] = f"{told[title]} {text}" if title in told else text if mark else "stated"
    return told


def _text_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[TextChange]:
    return [
        TextChange(what=key, old=old.get(key), new=new.get(key))
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    ]
