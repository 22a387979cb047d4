"""What records say of the proofs of files, and of what quantizing, folding and exporting left out or changed."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reports.record import Variant
from reports.table import DASH

_EXPORT = "export: "

AGREEMENT = "agreement"
FLOAT_AGREEMENT = "float_agreement"
"""Keys of an export's details: the file against its artifact, and against the float network of its chain."""


def exports_of(variant: Variant) -> list[tuple[str, Mapping[str, Any]]]:
    """The runtimes that a variant has files for, each with what its export left in the record."""
    return [
        (str(detail["stage"])[len(_EXPORT) :], detail)
        for detail in variant.details
        if str(detail.get("stage", "")).startswith(_EXPORT)
    ]


def built_for(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a file says of itself; nothing where the record does not hold it."""
    found = detail.get("built_for")
    return found if isinstance(found, dict) else {}


def least_db(detail: Mapping[str, Any], key: str) -> str:
    """The least agreement of a file, in dB, over the pictures that it was checked on; a dash where there is none."""
    found = detail.get(key)
    return f"{min(values):.1f}" if (values := list(_decibels(found if isinstance(found, list) else []))) else DASH


def _decibels(entries: Iterable[Any]) -> Iterator[float]:
    for entry in entries:
        value = entry.get("psnr_db") if isinstance(entry, dict) else None
        if isinstance(value, int | float):
            yield float(value)


def notes_of(variant: Variant) -> list[str]:
    """What was left out of a variant or changed in it on the way, each with its reason and where it was."""
    found = [f"{d['scheme']}: {note}" for d in variant.details if "scheme" in d for note in _listed(d.get("notes"))]
    found += [note for detail in variant.details for note in _listed(detail.get("left_out"))]
    found += [f"{runtime} file: {note}" for runtime, d in exports_of(variant) if (note := built_for(d).get("left_out"))]
    return found


def _listed(found: Any) -> list[str]:
    return [str(one) for one in found] if isinstance(found, list) else []
