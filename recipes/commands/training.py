"""train: networks from pictures."""

from pathlib import Path

import click

from baseline.errors import UserError
from baseline.output import output_folder
from baseline.settings import DataSettings, TrainSettings
from recipes.options import data_options
from recipes.parse import parse, parse_assignments


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
