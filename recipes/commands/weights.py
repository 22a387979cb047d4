"""import-weights: networks that others trained."""

from pathlib import Path

import click


@click.command("import-weights")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--network", required=True, help="What the file holds: mimo-unet or mimo-unet-plus.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The artifact's folder.")
def import_weights(file: Path, network: str, out: Path) -> None:
    """Make an artifact of FILE, a checkpoint (.pkl) of the authors of MIMO-UNet. Nothing in it is run."""
    from recipes.weights import import_to

    import_to(out, file, network)
    click.echo(f"wrote {out}; score it with: lightsharp eval {out}")
