"""What was done to single layers, over all variants: widths left, layers kept in float, and what each file computes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.plots import some_of
from reports.proofs import AGREEMENT, FLOAT_AGREEMENT, built_for, exports_of, least_db, notes_of
from reports.pruning import by_reason
from reports.record import Report, Variant
from reports.table import DASH

_COUNTS = {
    "integer_convolutions": "Integer convolutions",
    "float_convolutions": "Float convolutions",
    "operators_outside_xnnpack": "Operators outside XNNPACK",
    "resizes_as_convolutions": "Resizes as convolutions",
}
"""What runtimes count of the files they wrote, in the order of the columns."""


@dataclass(frozen=True)
class WidthCell:
    """The channels of a layer that a variant keeps; `removed` is a share, and None where it does not prune there."""

    text: str
    removed: float | None


@dataclass(frozen=True)
class Widths:
    """Rows of layers with their width before pruning, columns of variants pruned alike."""

    columns: list[str]
    rows: list[tuple[str, int, list[WidthCell]]]


@dataclass(frozen=True)
class Precision:
    """Variants that are quantized alike: how many layers compute in it, and those in float, by reason."""

    variants: str
    scheme: str
    quantized: str
    in_float: dict[str, list[str]]
    missing: str = ""


@dataclass(frozen=True)
class Census:
    """What the files of a run compute: a row for each variant and runtime, and why others have none."""

    columns: list[str]
    rows: list[tuple[str, str, list[str]]]
    missing: list[str]


@dataclass(frozen=True)
class Layers:
    """All that a report says of layers, but for their sensitivity."""

    widths: Widths | None
    precisions: list[Precision]
    census: Census
    notes: list[str]


def layers_of(report: Report) -> Layers:
    """The layers of a report's variants."""
    return Layers(_widths(report), _precisions(report), _census(report), _notes(report))


def _widths(report: Report) -> Widths | None:
    """Pruned variants side by side; those with equal widths share a column."""
    alike: dict[tuple[tuple[str, int, int], ...], list[str]] = {}
    for variant in report.variants:
        found = _kept(variant)
        if found:
            key = tuple((name, before, after) for name, (before, after) in found.items())
            alike.setdefault(key, []).append(variant.name)
    if not alike:
        return None
    tables = [{name: (before, after) for name, before, after in key} for key in alike]
    names = dict.fromkeys(name for table in tables for name in table)
    rows = []
    for name in names:
        before = max(table[name][0] for table in tables if name in table)
        rows.append((name, before, [_width_cell(table.get(name), before) for table in tables]))
    return Widths([some_of(users) for users in alike.values()], rows)


def _kept(variant: Variant) -> dict[str, tuple[int, int]]:
    """Each layer's channels before the first pruning of a chain and after its last."""
    found: dict[str, tuple[int, int]] = {}
    for detail in variant.details:
        widths = detail.get("widths")
        for width in widths if isinstance(widths, list) else []:
            if isinstance(width, dict) and {"name", "before", "after"} <= width.keys():
                name = str(width["name"])
                before, _ = found.get(name, (int(width["before"]), 0))
                found[name] = (before, int(width["after"]))
    return found


def _width_cell(width: tuple[int, int] | None, before: int) -> WidthCell:
    if width is None:
        return WidthCell(DASH, None)
    started, after = width
    text = str(after) if started == before else f"{after} of {started}"
    return WidthCell(text, round(1 - after / started, 3) if started else None)


def _precisions(report: Report) -> list[Precision]:
    """The layers of quantized variants, those alike together."""
    alike: dict[str, list[str]] = {}
    found: dict[str, Precision] = {}
    for variant in report.variants:
        for detail in variant.details:
            if "scheme" in detail:
                one = _precision(detail)
                alike.setdefault(repr(one), []).append(variant.name)
                found[repr(one)] = one
    return [
        Precision(some_of(names), one.scheme, one.quantized, one.in_float, one.missing)
        for key, names in alike.items()
        for one in [found[key]]
    ]


def _precision(detail: Mapping[str, Any]) -> Precision:
    quantized, in_float = detail.get("quantized"), detail.get("in_float")
    count = str(len(quantized)) if isinstance(quantized, list) else DASH
    if not isinstance(in_float, dict):
        return Precision("", str(detail["scheme"]), count, {}, "the record does not say which layers stayed in float")
    reasons = by_reason({str(name): str(reason) for name, reason in in_float.items()})
    return Precision("", str(detail["scheme"]), count, reasons)


def _census(report: Report) -> Census:
    """The counts that each runtime left of its file."""
    rows = (report.teacher, *report.variants)
    found = [(variant, runtime, detail) for variant in rows for runtime, detail in exports_of(variant)]
    counted = [key for key in _COUNTS if any(key in built_for(detail) for _, _, detail in found)]
    cells = [(variant.name, runtime, _cells(detail, counted)) for variant, runtime, detail in found]
    columns = [*(_COUNTS[key] for key in counted), "File, MB", "Against its artifact, dB", "Against float, dB"]
    return Census(columns, cells, _without_census(report, {(variant.name, runtime) for variant, runtime, _ in found}))


def _without_census(report: Report, known: set[tuple[str, str]]) -> list[str]:
    """Why a variant's runtime has no counts: a line for each reason, after whom it holds for."""
    reasons: dict[str, list[str]] = {}
    for variant in (report.teacher, *report.variants):
        if variant.error:
            reasons.setdefault(f"failed: {variant.error}", []).append(variant.name)
        elif not variant.latency and not any(name == variant.name for name, _ in known):
            reasons.setdefault("no file was written that the record speaks of", []).append(variant.name)
        for row in variant.latency:
            if (variant.name, row.runtime) not in known:
                if row.missing:
                    reason = row.missing
                elif row.file is None:
                    reason = "it runs in memory; there is no file"
                else:
                    reason = "the record has no counts of this file; records of older versions have none"
                reasons.setdefault(f"{row.runtime}, {row.device}: {reason}", []).append(variant.name)
    return [f"{some_of(names)}: {reason}" for reason, names in reasons.items()]


def _cells(detail: Mapping[str, Any], counted: list[str]) -> list[str]:
    """What is known of a file: its counts, its size, and how it agrees with its artifact and the float network."""
    counts = [str(built_for(detail).get(key, DASH)) for key in counted]
    return [*counts, _megabytes(detail), least_db(detail, AGREEMENT), least_db(detail, FLOAT_AGREEMENT)]


def _megabytes(detail: Mapping[str, Any]) -> str:
    found = detail.get("megabytes")
    return f"{found:.2f}" if isinstance(found, int | float) else DASH


def _notes(report: Report) -> list[str]:
    """What was left out or changed on the way, each line after the variants that it holds for."""
    users: dict[str, list[str]] = {}
    for variant in (report.teacher, *report.variants):
        for note in dict.fromkeys(notes_of(variant)):
            users.setdefault(note, []).append(variant.name)
    return [f"{some_of(names)}: {note}" for note, names in users.items()]
