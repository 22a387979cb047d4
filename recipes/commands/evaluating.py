"""eval: how good a network is."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from baseline.settings import DataSettings
from recipes.options import data_options, json_option
from recipes.parse import parse


@click.command("eval")
@click.argument("network")
@data_options
@json_option
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
