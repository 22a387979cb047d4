"""measure, export: networks as they run."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from recipes.options import json_option


def _size(text: str) -> tuple[int, int]:
    height, x, width = text.lower().partition("x")
    if not (x and height.isdigit() and width.isdigit() and int(height) > 0 and int(width) > 0):
        raise click.BadParameter(f"must be HEIGHTxWIDTH in pixels, such as 256x256; got '{text}'")
    return int(height), int(width)


_size_option = click.option(
    "--size", default="256x256", show_default=True, callback=lambda _c, _p, v: _size(v), help="HEIGHTxWIDTH."
)


@click.command()
@click.argument("networks", nargs=-1, required=True)
@_size_option
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
    from recipes.deployment import measure_named

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


@click.command()
@click.argument("network")
@click.option(
    "--to",
    "suffix",
    default="pt2",
    show_default=True,
    help="The kind of file: pt2, or original (.pkl, for the authors' MIMO-UNet code).",
)
@_size_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write.")
def export(network: str, suffix: str, size: tuple[int, int], out: Path) -> None:
    """Write a deployable file of a shipped network or an artifact, at the precision it has."""
    from recipes.deployment import export_named

    built_for = export_named(network, suffix, size, out)
    click.echo(f"wrote {out}: {out.stat().st_size / 1e6:.2f} MB, {', '.join(f'{k} {v}' for k, v in built_for.items())}")
