"""What was done to single layers, over all variants: widths left, layers kept in float, and what each file computes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reports.plots import some_of
from reports.pruning import by_reason
from reports.record import Report, Variant
from reports.table import DASH

_EXPORT = "export: "
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


def layers_of(report: Report) -> Layers:
    """The layers of a report's variants."""
    return Layers(_widths(report), _precisions(report), _census(report))


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
    found = [
        (variant, str(detail["stage"])[len(_EXPORT) :], detail)
        for variant in (report.teacher, *report.variants)
        for detail in variant.details
        if str(detail.get("stage", "")).startswith(_EXPORT)
    ]
    counted = [key for key in _COUNTS if any(key in _built_for(detail) for _, _, detail in found)]
    rows = [
        (
            variant.name,
            runtime,
            [*(str(_built_for(detail).get(key, DASH)) for key in counted), _megabytes(detail), _agreement(detail)],
        )
        for variant, runtime, detail in found
    ]
    columns = [*(_COUNTS[key] for key in counted), "File, MB", "Agreement, dB"]
    return Census(columns, rows, _without_census(report, {(variant.name, runtime) for variant, runtime, _ in found}))


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


def _built_for(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    found = detail.get("built_for")
    return found if isinstance(found, dict) else {}


def _megabytes(detail: Mapping[str, Any]) -> str:
    found = detail.get("megabytes")
    return f"{found:.2f}" if isinstance(found, int | float) else DASH


def _agreement(detail: Mapping[str, Any]) -> str:
    """The least agreement of the file with its artifact over the pictures that it was checked on."""
    found = detail.get("agreement")
    return f"{min(values):.1f}" if (values := list(_decibels(found if isinstance(found, list) else []))) else DASH


def _decibels(entries: Iterable[Any]) -> Iterable[float]:
    for entry in entries:
        value = entry.get("psnr_db") if isinstance(entry, dict) else None
        if isinstance(value, int | float):
            yield float(value)
