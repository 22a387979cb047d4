"""Latencies that are not to be believed, in words."""

from collections.abc import Sequence

from reports.digits import percent
from reports.record import LatencyRow, NoiseReason, Report

NOISY = "noisy"
"""What stands beside such a latency."""

_SAID = {
    "rounds_disagree": "the medians of its turns lie {} apart",
    "other_load": "other programs took {} of the processor time",
    "clock_changed": "the clock changed by {}",
}


def is_noisy(row: LatencyRow) -> bool:
    """Whether a row says that it is noisy; records of old do not say."""
    return row.noise is not None and row.noise.noisy


def noise_text(row: LatencyRow) -> str:
    """Why a latency is not to be believed; nothing of one that is."""
    return _text([row]) if is_noisy(row) else ""


def noise_notes(report: Report) -> list[str]:
    """A line for all noisy latencies of one runtime and device that have the same kinds of reasons."""
    alike: dict[tuple[str, ...], list[tuple[str, LatencyRow]]] = {}
    for variant in (report.teacher, *report.variants):
        for row in variant.latency:
            if row.noise is not None and row.noise.noisy:
                place = ", ".join(filter(None, (row.runtime, row.device, row.machine)))
                alike.setdefault((place, *(r.kind for r in row.noise.reasons)), []).append((variant.name, row))
    return [
        f"Noisy latencies ({place}), also when taken again: {', '.join(dict.fromkeys(name for name, _ in rows))}; "
        f"{_text([row for _, row in rows])}. The same command on an idle machine times them again."
        for (place, *_), rows in alike.items()
    ]


def _text(rows: Sequence[LatencyRow]) -> str:
    """The reasons of rows that have the same kinds of them."""
    by_kind: dict[str, list[NoiseReason]] = {}
    for row in rows:
        for reason in row.noise.reasons if row.noise else ():
            by_kind.setdefault(reason.kind, []).append(reason)
    return ", ".join(_said(kind, reasons) for kind, reasons in by_kind.items())


def _said(kind: str, reasons: Sequence[NoiseReason]) -> str:
    values = sorted({percent(reason.value, 0) for reason in reasons}, key=lambda text: float(text[:-1]))
    shares = " to ".join(dict.fromkeys((values[0], values[-1])))
    return f"{_SAID[kind].format(shares)} (calm: up to {percent(reasons[0].limit, 0)})"
