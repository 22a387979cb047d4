"""Numbers as people read them: counts, times, shares and changes, with the digits that count."""

from collections.abc import Sequence

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def compact(number: float, like: float | None = None) -> str:
    """A count in the unit a person would say it in: 8712000000 -> 8.71 G, 930000 -> 0.93 M, 600 -> 600.

    With `like`, in the unit of that number, so that both can be compared at a glance.
    """
    measure = number if like is None else like
    for unit, letter in _UNITS:
        if measure >= max(0.1 * unit, 10_000):
            return f"{number / unit:.2f} {letter}"
    return f"{number:.0f}"


def latency_text(milliseconds: float) -> str:
    """A latency with the digits that count."""
    return latency_texts([milliseconds])[0]


def latency_texts(milliseconds: Sequence[float]) -> list[str]:
    """Latencies that are read together, such as a median and its range, with the same digits after the point."""
    decimals = 2 if max(milliseconds) < 100 else 1
    return [f"{value:.{decimals}f}" for value in milliseconds]


def change_text(value: float, reference: float | None) -> str:
    """The change against the teacher in %, or nothing where there is none to compare with."""
    if not reference:
        return ""
    share = value / reference - 1
    return f"{'-' if share < 0 else '+'}{amount}" if (amount := percent(abs(share), 1)) != "0.0%" else amount


def percent(share: float, decimals: int) -> str:
    """A share from 0 up in %, with more digits where rounding would say that everything is gone: 0.9996 -> 99.96%."""
    while share < 1 <= round(share, 2 + decimals) and decimals < 6:
        decimals += 1
    return f"{100 * share:.{decimals}f}%"
