"""export: networks become files."""

from pathlib import Path

import click

from recipes.options import size_option


@click.command()
@click.argument("network")
@click.option(
    "--to",
    "suffix",
    default="pt2",
    show_default=True,
    help="The kind of file: pt2, or original (.pkl, for the authors' MIMO-UNet code).",
)
@size_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write.")
def export(network: str, suffix: str, size: tuple[int, int], out: Path) -> None:
    """Write a deployable file of a shipped network or an artifact, at the precision it has."""
    from recipes.exporting import export_named

    built_for = export_named(network, suffix, size, out)
    click.echo(f"wrote {out}: {out.stat().st_size / 1e6:.2f} MB, {', '.join(f'{k} {v}' for k, v in built_for.items())}")
