"""The report's small drawing: the curve of a training."""

import math


def sparkline(values: list[float]) -> str:
    """A series of numbers as a small SVG line; empty for fewer than two finite ones."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    low, span = min(finite), max(finite) - min(finite) or 1.0
    step = 118 / (len(finite) - 1)
    points = " ".join(f"{1 + i * step:.1f},{23 - 22 * (value - low) / span:.1f}" for i, value in enumerate(finite))
    return (
        '<svg class="sparkline" viewBox="0 0 120 24" width="120" height="24" aria-hidden="true">'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )
