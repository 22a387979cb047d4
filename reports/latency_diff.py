"""Latencies in two runs: they differ if their ranges from p10 to p90 do not meet, on the same machine only."""

from collections.abc import Iterator

from reports.change import Interval, NumberChange, beyond_noise
from reports.comparable import machine_of
from reports.noise import noise_text
from reports.record import LatencyRow, Report, Variant
from reports.table import timed_at


def latency_changes(one: Variant, other: Variant, elsewhere: str) -> Iterator[NumberChange]:
    """Every latency that either has; `elsewhere` says why the machines cannot be compared, if they cannot."""
    old, new = ({_place(row): row for row in v.latency if row.median_ms is not None} for v in (one, other))
    for place in dict.fromkeys([*old, *new]):
        change = _numbers(one.name, place, old.get(place), new.get(place))
        if elsewhere:
            yield change.judged("not comparable", elsewhere)
        elif place not in old:
            yield change.judged("not comparable", "it was not timed before")
        elif place not in new:
            yield _gone(change, old[place], other)
        else:
            yield _trusted(_judged(change), old[place], new[place])


def other_machine(one: Report, other: Report) -> str:
    """Why latencies of two reports cannot be compared; nothing if they can."""
    old, new = machine_of(one), machine_of(other)
    if not old or not new:
        return "the record does not name the machine"
    told = [
        f"{key} {old.get(key, 'none')} → {new.get(key, 'none')}" for key in old | new if old.get(key) != new.get(key)
    ]
    return f"not the same machine: {'; '.join(told)}" if told else ""


def _place(row: LatencyRow) -> str:
    """Where and how a row was timed."""
    graphs = {None: "", True: ", CUDA graphs", False: ", no CUDA graphs"}[row.cuda_graphs]
    size = f"{row.batch}x{row.size[0]}x{row.size[1]}"
    return f"{', '.join(timed_at(row))}, {row.threads} threads, {size}{graphs}"


def _numbers(variant: str, place: str, old: LatencyRow | None, new: LatencyRow | None) -> NumberChange:
    before, after = (None if row is None else row.median_ms for row in (old, new))
    return NumberChange(
        variant=variant,
        what=f"latency ({place})",
        unit="ms",
        old=before,
        new=after,
        difference=None if before is None or after is None else after - before,
        old_range=_range(old),
        new_range=_range(new),
        verdict="not comparable",
    )


def _range(row: LatencyRow | None) -> Interval | None:
    return None if row is None or row.p10_ms is None or row.p90_ms is None else (row.p10_ms, row.p90_ms)


def _gone(change: NumberChange, old: LatencyRow, new: Variant) -> NumberChange:
    """A time that is not taken any more: lost if the new run says why, or else not asked for."""
    missing = next((row.missing for row in new.latency if timed_at(row) == timed_at(old) and row.missing), None)
    if missing is None:
        return change.judged("not comparable", "it is not timed any more")
    return change.judged("worse", f"it cannot be timed any more: {missing}")


def _trusted(change: NumberChange, old: LatencyRow, new: LatencyRow) -> NumberChange:
    """What is better or worse is not comparable where one of the times is noisy."""
    noisy = next(
        (
            f"the {when} time is noisy: {noise_text(row)}"
            for when, row in (("new", new), ("old", old))
            if noise_text(row)
        ),
        "",
    )
    return change.judged("not comparable", noisy) if noisy and change.verdict in ("better", "worse") else change


def _judged(change: NumberChange) -> NumberChange:
    old, new = change.old_range, change.new_range
    if not change.difference:
        return change.judged("same")
    if old is None or new is None:
        return change.judged("not comparable", "the record has no p10 and p90")
    if old[0] <= new[1] and new[0] <= old[1]:
        return change.judged("within noise")
    return change.judged(beyond_noise(change.difference, "lower"))
