"""restore: networks at work."""

import sys
from pathlib import Path

import click

from baseline.output import output_folder


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
    from recipes.networks import open_named

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
