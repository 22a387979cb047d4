"""measure: networks as they run."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, TypeVar

import click

from recipes.options import code_option, json_option, parse_size
from recipes.plain_table import plain_table
from recipes.printing import output

if TYPE_CHECKING:
    from recipes.timing import Grid, Measured
    from reports.record import LatencyRow

T = TypeVar("T")


@click.command()
@click.argument("networks", nargs=-1, required=True)
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    default=["auto"],
    show_default=True,
    help="How to run artifacts (lightsharp ls runtimes), repeatable; auto is all that need no file. Files run on their "
    "own; an artifact is exported for a runtime that has files.",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    callback=lambda _c, _p, values: tuple(parse_size(value) for value in values),
    help="HEIGHTxWIDTH, repeatable.  [default: 256x256, or the nearest that all networks take]",
)
@click.option("--batch", "batches", multiple=True, type=click.IntRange(min=1), default=[1], show_default=True)
@click.option(
    "--threads",
    multiple=True,
    type=click.IntRange(min=1),
    help="CPU threads, repeatable.  [default: what torch takes]",
)
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Timed calls of each at least, in up to 5 turns; 1 is taken once, noisy or not.",
)
@click.option(
    "--memory", is_flag=True, help="Also peak memory, each network in a process of its own: some seconds each."
)
@code_option
@json_option
def measure(
    networks: tuple[str, ...],
    runtimes: tuple[str, ...],
    sizes: tuple[tuple[int, int], ...],
    batches: tuple[int, ...],
    threads: tuple[int, ...],
    device: str,
    rounds: int,
    memory: bool,
    as_json: bool,
) -> None:
    """Time networks (shipped, artifacts or deployables), for each size, batch and number of threads.

    Each has a process of its own; they are timed in turn, while the others sleep. What other load, a clock that changed
    or turns that disagree make noisy is timed again, up to three times, and marked if it stays noisy.
    """
    from recipes.timing import Grid, default_size, measure_named

    grid = Grid(
        runtimes,
        _each(sizes or (default_size(networks),)),
        _each(batches),
        _each(threads) or (None,),
        device,
        rounds,
        memory,
    )
    measured = measure_named(networks, grid)
    if as_json:
        click.echo(json.dumps([_as_json(row, measured.conditions) for row in measured.rows], indent=1))
    else:
        _print(measured, grid)


def _each(values: tuple[T, ...]) -> tuple[T, ...]:
    """The values in their order, each once."""
    return tuple(dict.fromkeys(values))


def _as_json(row: LatencyRow, conditions: str) -> dict[str, Any]:
    throughput = {"pictures_per_s": row.pictures_per_s, "megapixels_per_s": row.megapixels_per_s}
    return {**row.model_dump(mode="json"), **throughput, "conditions": conditions}


def _print(measured: Measured, grid: Grid) -> None:
    """A table for each combination, with what is missing and why, and the conditions under the last."""
    from reports.noise import noise_text

    memory = grid.memory
    console = output()
    for (size, batch, threads), rows in itertools.groupby(measured.rows, lambda r: (r.size, r.batch, r.threads)):
        group = list(rows)
        click.echo(f"{group[0].device}, {threads} threads, {batch}x3x{size[0]}x{size[1]}")
        table = plain_table(
            "network", "median ms", "p10", "p90", "pictures/s", "MP/s", *(["peak MB"] if memory else [])
        )
        for row in group:
            values = [row.median_ms, row.p10_ms, row.p90_ms, row.pictures_per_s, row.megapixels_per_s]
            shown = [_number(value) for value in (*values, *([row.peak_mb] if memory else []))]
            table.add_row(f"{_name(row)}{' *' if row.fastest else ''}", *shown)
        console.print(table)
        for row in group:
            noise = f"noisy: {noise_text(row)}" if noise_text(row) else None
            for reason in (row.missing, noise, row.peak_missing if memory else None):
                if reason:
                    click.echo(f"{_name(row)}: {reason}")
        click.echo()
    marked = "; * the fastest of its network" if any(row.fastest for row in measured.rows) else ""
    how = (
        f"each in a process of its own, in turn, the others asleep; at least {grid.rounds} calls of each after warm-up"
    )
    click.echo(f"{how}{marked}; {measured.conditions}")


def _name(row: LatencyRow) -> str:
    from recipes.timing import runtime_label

    return f"{row.network}, {row.dtype}, {runtime_label(row.runtime, row.cuda_graphs)}"


def _number(value: float | None) -> str:
    """Three digits that count, or a dash."""
    if value is None:
        return "—"
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"
