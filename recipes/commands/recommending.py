"""recommend: which variant of a run to take."""

import json
import math
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from baseline.errors import UserError, unknown_name
from compress.runtimes.table import RUNTIMES, files_of, size_mb
from recipes.options import json_option
from recipes.plain_table import plain_table
from recipes.printing import output
from recipes.recovery import read_run
from recipes.run_folder import making
from reports.recommend import QUANTITIES, Candidate, Choice, Found, Limits, at_place, candidates_of, choose
from reports.recommend_text import Asked, Place, choice_json, left_out, recommendation, value_text
from reports.record import Report
from reports.recover import is_recovered

_WIDEST = 1000
"""More columns than any table needs."""


def _limit(_: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """The number of a limit; a UserError for anything that is not above 0."""
    if text is None:
        return None
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not (math.isfinite(limit) and limit > 0):
        name = option.opts[0]
        raise UserError(f"{name} must be a number above 0; got '{text}'. Type for example: {name} 1.5")
    return limit


def _limit_option(key: str, about: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(QUANTITIES[key].option, key, metavar=QUANTITIES[key].unit.upper(), callback=_limit, help=about)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@_limit_option("latency_ms", "The longest median latency of one forward pass, in milliseconds.")
@_limit_option("size_mb", "The largest file for the runtime that is recommended, in 10^6 bytes.")
@_limit_option("psnr_loss_db", "The largest mean PSNR loss against the teacher, in dB.")
@click.option("--runtime", help="Only this runtime counts.  [default: all that the run was timed on]")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    help="Only this device counts.  [default: all that the run was timed on]",
)
@json_option
def recommend(
    folder: Path, runtime: str | None, device: str | None, as_json: bool, **asked_limits: float | None
) -> None:
    """Say which variant of RUN keeps every limit with the smallest PSNR loss, and which file to take.

    Of losses that are equal to 0.01 dB, the fastest is taken. The teacher counts as well, with a loss of 0. Exit code 1
    if nothing keeps every limit.
    """
    report = read_run(folder)
    if is_recovered(report):
        click.echo(report.run.conditions[0], err=True)
    limits = {key: limit for key in QUANTITIES if (limit := asked_limits[key]) is not None}
    if not limits:
        options = [quantity.option for quantity in QUANTITIES.values()]
        raise UserError(
            f"at least one of {', '.join(options)} must be given; none is. "
            f"Type for example: {shlex.join(['lightsharp', 'recommend', str(folder)])} {options[0]} 30"
        )
    asked = Asked(limits, runtime, device)
    _check_place(report, asked)
    choice = choose(at_place(candidates_of(report, _found(report, folder)), runtime, device), limits)
    if as_json:
        click.echo(json.dumps(choice_json(choice, asked), indent=1))
    else:
        _print(choice, limits, report, folder)
    if choice.recommended is None:
        sys.exit(1)


def _check_place(report: Report, asked: Asked) -> None:
    """A UserError if the run was not timed on the asked runtime and device."""
    places = {(row.runtime, row.device) for variant in (report.teacher, *report.variants) for row in variant.latency}
    known = {*RUNTIMES, *(runtime for runtime, _ in places)}
    if asked.runtime is not None and asked.runtime not in known:
        raise unknown_name("runtime", asked.runtime, known)
    if (asked.runtime or asked.device) and not any(
        asked.runtime in (None, runtime) and asked.device in (None, device) for runtime, device in places
    ):
        got = " on ".join(name for name in (asked.runtime, asked.device) if name)
        there = ", ".join(f"{runtime} on {device}" for runtime, device in sorted(places)) or "nothing"
        raise UserError(
            f"--runtime and --device must name what the run was timed on; got {got}. It was timed on: {there}. "
            "Take one of these, or run its recipe with other measure.runtimes and measure.devices."
        )


def _found(report: Report, folder: Path) -> dict[tuple[str, str], Found]:
    """What the run's folder holds of each variant for each runtime: a whole deployable, or the artifact."""
    found = {}
    for variant in (report.teacher, *report.variants):
        place = folder / "variants" / variant.name
        for runtime in dict.fromkeys(row.runtime for row in variant.latency if row.runtime in RUNTIMES):
            suffix = RUNTIMES[runtime].suffix
            path = place / ("artifact" if suffix is None else f"{variant.name}{suffix}")
            if suffix is None and path.is_dir():
                found[variant.name, runtime] = Found(str(path))
            elif suffix is not None and all(file.is_file() for file in files_of(path)):
                found[variant.name, runtime] = Found(str(path), size_mb(path))
    return found


def _print(choice: Choice, limits: Limits, report: Report, folder: Path) -> None:
    best_of_each = {candidate.record.name: candidate for candidate in reversed(choice.ranked)}
    shown = [c for c in choice.ranked if c is best_of_each[c.record.name] and c.record.status == "done"]
    console, table = output(), _table(shown, limits)
    # Names fold. No number is cut: a terminal that is narrower than all of them wraps the lines.
    least = Measurement.get(console, console.options.update(width=_WIDEST), table).minimum
    console.width = max(console.width, least)
    console.print(table)
    others = sum(candidate.record.status == "done" for candidate in choice.ranked) - len(shown)
    if others:
        click.echo(f"each variant where it keeps the limits best; {others} more rows with --json")
    for line in left_out(choice, limits):
        click.echo(line)
    click.echo()
    for line in recommendation(choice, limits, report, Place(str(folder), making(folder))):
        click.echo(line)


def _table(candidates: list[Candidate], limits: Limits) -> Table:
    """The candidates, best first; each limited value marked as kept or not."""
    titles = (
        f"{quantity.what}\n{quantity.unit}" + (f", max {limits[key]:g}" if key in limits else "")
        for key, quantity in QUANTITIES.items()
    )
    table = plain_table("variant", "on", *titles)
    for candidate in candidates:
        place = candidate.place.removeprefix(" on ")
        table.add_row(candidate.record.name, place, *(_cell(candidate, key, limits) for key in QUANTITIES))
    return table


def _cell(candidate: Candidate, key: str, limits: Limits) -> Text:
    kept = candidate.keeps(limits).get(key)
    mark = "" if key not in limits or kept is None else "✓ " if kept else "✗ "
    return Text(mark + value_text(candidate, key), style="red" if kept is False else "")
