"""Whether a run reproduced the numbers that its recipe expects."""

from reports.record import Report, Variant

Expectations = dict[str, dict[str, tuple[float, float]]]
"""Variant -> metric or cut -> lowest and highest value."""


def unmet(report: Report, expected: Expectations) -> list[str]:
    """A line for every expected number that is missing or outside its interval."""
    variants = {variant.name: variant for variant in report.variants}
    lines = []
    for name, intervals in expected.items():
        for key, (low, high) in intervals.items():
            value = _value(variants.get(name), report.teacher, key)
            if value is None:
                lines.append(f"{name}: {key} must lie in {low:g} to {high:g}; it is missing")
            elif not low <= value <= high:
                lines.append(f"{name}: {key} must lie in {low:g} to {high:g}; it is {value:.4g}")
    return lines


def _value(variant: Variant | None, teacher: Variant, key: str) -> float | None:
    if variant is None:
        return None
    if key.endswith("_cut"):
        own, whole = (_metric(v, key.removesuffix("_cut")) for v in (variant, teacher))
        return None if own is None or not whole else 1 - own / whole
    return _metric(variant, key)


def _metric(variant: Variant, key: str) -> float | None:
    return variant.metrics[key].value if key in variant.metrics else None
