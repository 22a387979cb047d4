"""Filling in the HTML templates: all text is escaped, and a missing variable is an error."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.digits import compact, latency_texts
from reports.figures import sparkline
from reports.markdown import stopped
from reports.pruning import prune_entry
from reports.table import DASH

_SECTION = re.compile(r"<section([^>]*)>(\s*<h2[^>]*>)(.*?)</h2>", re.DOTALL)


@dataclass(frozen=True)
class Curve:
    """One term of a training's curve."""

    term: str
    first: float
    last: float
    line: Markup


def render(template: str, **values: Any) -> str:
    """A template of this package with its variables."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"milliseconds": _milliseconds, "stopped": stopped}
    environment.filters |= {"number": _number, "curves": _curves, "compact": compact, "prune_entry": prune_entry}
    environment.filters["with_contents"] = _with_contents
    environment.tests["scalar"] = _is_scalar
    return environment.get_template(template).render(**values)


def _with_contents(html: Markup) -> Markup:
    """Sections of a page after a list of links to them; one without an id gets that of its heading."""
    links: list[str] = []

    def linked(found: re.Match[str]) -> str:
        attributes, opening, title = found.groups()
        given = re.search(r'\bid="([^"]*)"', attributes)
        name = given[1] if given else re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        links.append(f'<li><a href="#{name}">{title}</a></li>')
        named = attributes if given else f'{attributes} id="{name}"'
        return f"<section{named}>{opening}{title}</h2>"

    sections = _SECTION.sub(linked, html)
    return Markup(f'<nav class="contents" aria-label="Contents"><ul>{"".join(links)}</ul></nav>\n{sections}')


def _curves(points: Sequence[dict[str, float]]) -> list[Curve]:
    """The terms of a training's curve (a dict for each logged step), as far as they can be drawn."""
    terms: dict[str, list[float]] = {}
    for point in points:
        for term, value in point.items():
            if term != "step":
                terms.setdefault(term, []).append(value)
    drawn = [(term, values, sparkline(values)) for term, values in terms.items()]
    return [Curve(term, values[0], values[-1], Markup(line)) for term, values, line in drawn if line]


def _number(value: Any) -> str:
    """A scalar as people read it: four digits of a float, thousands apart, yes and no."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and 10_000 <= abs(value) < math.inf:
        return f"{value:,.0f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _milliseconds(values: Sequence[float | None]) -> list[str]:
    """Latencies with the same digits, a dash for each that is not known; at least one is."""
    texts = iter(latency_texts([value for value in values if value is not None]))
    return [DASH if value is None else next(texts) for value in values]


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)
