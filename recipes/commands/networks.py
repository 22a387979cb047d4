"""train, eval, measure, restore, export: one network at a time."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from baseline.errors import UserError
from baseline.output import output_folder
from baseline.settings import DataSettings, TrainSettings
from recipes.options import data_options
from recipes.parse import parse, parse_assignments


def _size(text: str) -> tuple[int, int]:
    height, x, width = text.lower().partition("x")
    if not (x and height.isdigit() and width.isdigit() and int(height) > 0 and int(width) > 0):
        raise click.BadParameter(f"must be HEIGHTxWIDTH in pixels, such as 256x256; got '{text}'")
    return int(height), int(width)


_size_option = click.option(
    "--size", default="256x256", show_default=True, callback=lambda _c, _p, v: _size(v), help="HEIGHTxWIDTH."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


@click.command()
@click.option("--network", help="A network's name or your package.module:factory.  [default: mimo-unet]")
@click.option(
    "--from", "start", metavar="NETWORK", help="Go on from this shipped name or artifact instead of from scratch."
)
@data_options
@click.option("--steps", type=int, required=True, help="Optimizer steps.")
@click.option(
    "--set",
    "assignments",
    metavar="KEY=VALUE",
    multiple=True,
    help="Any setting: batch, crop, lr, precision, seed, arguments.width, ...",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The artifact's folder; a killed training goes on there.",
)
def train(
    network: str, start: str | None, data: str, root: Path | None, steps: int, assignments: tuple[str, ...], out: Path
) -> None:
    """Train a network, from scratch or from another one, and save it as an artifact."""
    if start and network:
        raise UserError(f"train must be given --network or --from; got both ({network}, {start}). Leave one out.")
    values = {"network": None if start else network or "mimo-unet", "steps": steps} | parse_assignments(assignments)
    settings = parse(TrainSettings, values, "train")
    chosen = parse(DataSettings, {"name": data, "root": root}, "data")
    output_folder(out)
    from recipes.training import train_to

    train_to(out, settings, start, chosen)
    click.echo(f"wrote {out}; score it with: lightsharp eval {out}")


@click.command("eval")
@click.argument("network")
@data_options
@_json_option
def evaluate(network: str, data: str, root: Path | None, as_json: bool) -> None:
    """Score a shipped network, an artifact or a deployable on a data set's test pairs."""
    chosen = parse(DataSettings, {"name": data, "root": root}, "data")
    from recipes.evaluation import evaluate_named

    result = evaluate_named(network, chosen)
    if as_json:
        click.echo(json.dumps(result, indent=1))
        return
    table = Table("picture", "blurred PSNR dB", "PSNR dB", "SSIM")
    for row in result["pictures"]:
        table.add_row(
            row["name"],
            *(f"{row[key]:.{digits}f}" for key, digits in (("blurred_psnr_db", 2), ("psnr_db", 2), ("ssim", 4))),
        )
    table.add_section()
    table.add_row(
        "mean",
        f"{result['blurred']['psnr_db']:.2f}",
        f"{result['psnr_db']['mean']:.2f}",
        f"{result['ssim']['mean']:.4f}",
    )
    Console().print(table)
    if result["psnr_db"]["ci95"] is not None:
        low, high = result["psnr_db"]["ci95"]
        click.echo(f"95% interval of the mean PSNR, bootstrapped by photograph: {low:.2f} to {high:.2f} dB")


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
@_json_option
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
    from recipes.evaluation import measure_named

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
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--network", default="photos", show_default=True, help="A shipped name, an artifact or a deployable's file."
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Where the restored pictures go, names kept."
)
@click.option("--overwrite", is_flag=True, help="Write over pictures that are in --out already.")
def restore(inputs: tuple[Path, ...], network: str, out: Path, overwrite: bool) -> None:
    """Deblur pictures, or all pictures of folders, of any size."""
    from baseline.restore import other_files, plan_outputs, restore_files
    from recipes.evaluation import open_named

    planned = plan_outputs(inputs, out, overwrite)
    for path in other_files(inputs, out):
        click.echo(f"left alone, not a picture that can be read: {path}", err=True)
    output_folder(out)
    restorer = open_named(network)
    failed = 0
    for done in restore_files(restorer, planned):
        failed += done.error is not None
        click.echo(
            f"failed: {done.error}" if done.error else f"{done.source} -> {done.target}", err=done.error is not None
        )
    if failed:
        click.echo(f"{failed} of {len(planned)} pictures could not be restored", err=True)
        sys.exit(1)


@click.command()
@click.argument("network")
@click.option("--to", "suffix", default="pt2", show_default=True, help="The kind of file: pt2.")
@_size_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write.")
def export(network: str, suffix: str, size: tuple[int, int], out: Path) -> None:
    """Write a deployable file of a shipped network or an artifact, at the precision it has."""
    from recipes.evaluation import export_named

    built_for = export_named(network, suffix, size, out)
    click.echo(f"wrote {out}: {out.stat().st_size / 1e6:.2f} MB, {', '.join(f'{k} {v}' for k, v in built_for.items())}")
