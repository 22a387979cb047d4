"""measure: networks as they run."""

import json

import click
from rich.console import Console
from rich.table import Table

from recipes.options import json_option, size_option


@click.command()
@click.argument("networks", nargs=-1, required=True)
@size_option
@click.option(
    "--runtime",
    default="auto",
    show_default=True,
    help="How to run artifacts (lightsharp ls runtimes); files run on their own.",
)
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: what torch takes]")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=20, show_default=True, help="Timed calls of each, in turn."
)
@json_option
def measure(
    networks: tuple[str, ...],
    size: tuple[int, int],
    runtime: str,
    device: str,
    threads: int | None,
    batch: int,
    rounds: int,
    as_json: bool,
) -> None:
    """Time networks (shipped, artifacts or deployables) in turn on one picture size."""
    from compress.latency import LatencySettings
    from recipes.timing import measure_named

    rows = measure_named(networks, runtime, device, LatencySettings(size, batch, threads, rounds=rounds))
    if as_json:
        click.echo(json.dumps([row.model_dump(mode="json") for row in rows], indent=1))
        return
    table = Table("network", "runtime", "dtype", "median ms", "p10", "p90")
    for name, row in zip(networks, rows, strict=True):
        table.add_row(
            name, row.runtime, row.dtype, *(f"{v:.1f}" for v in (row.median_ms or 0, row.p10_ms or 0, row.p90_ms or 0))
        )
    Console().print(table)
    click.echo(
        f"{device}, {rows[0].threads} threads, {batch}x3x{size[0]}x{size[1]}, {rounds} rounds in turn after warm-up"
    )
