"""eval: how good a network is."""

import json
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from baseline.measurement import METRICS
from baseline.settings import DataSettings
from recipes.options import code_option, data_options, json_option
from recipes.parse import parse
from recipes.plain_table import plain_table
from recipes.printing import output

_DIGITS = {"psnr_db": 2, "ssim": 3, "lpips": 3, "edge_sharpness": 2}
"""The metrics shown of each picture, with so many decimals that all fit on 80 columns."""


@click.command("eval")
@click.argument("network")
@data_options
@click.option("--against", metavar="OTHER", help="Another network: the differences to it, paired by picture.")
@click.option(
    "--ensemble", is_flag=True, help="Average NETWORK over 4 turns and their mirror images: 8 times the work."
)
@click.option("--save", type=click.Path(path_type=Path), help="A folder for the restored pictures, DIR/NAME.png.")
@click.option("--worst", type=click.Path(path_type=Path), help="A picture to write: the ten with the lowest PSNR.")
@code_option
@json_option
def evaluate(network: str, data: str, root: Path | None, as_json: bool, **extras: Any) -> None:
    """Score a shipped network, an artifact or a deployable on a data set's test pairs.

    Each value is "blurred → restored"; intervals are bootstrapped by photograph. LPIPS: how different two pictures
    look, 0 being equal. Edge sharpness: 1 is as sharp as the sharp picture; noise and ringing on its edges count too.
    """
    chosen = parse(DataSettings, {"name": data, "root": root}, "data")
    from recipes.evaluation import Extras, evaluate_named

    result = evaluate_named(network, chosen, Extras(**extras))
    if as_json:
        click.echo(json.dumps(result, indent=1))
        return
    console = output()
    console.print(_scores(result))
    if "against" in result:
        name = f"{network} (self-ensemble)" if extras["ensemble"] else network
        console.print(_differences(f"{name} - {result['against']['network']}", result["against"]))
    unusual = [f"{row['name']}: {row['note']}" for row in result["pictures"] if row["note"]]
    for line in [*result["notes"], *unusual]:
        click.echo(line)


def _scores(result: dict[str, Any]) -> Table:
    """A row for each picture, then the mean and its interval."""
    table = plain_table("picture", *(_heading(key) for key in _DIGITS))
    for row in result["pictures"]:
        table.add_row(row["name"], *(_change(key, row[f"blurred_{key}"], row[key]) for key in _DIGITS))
    table.add_section()
    table.add_row("mean", *(_change(key, result["blurred"][key], result[key]["mean"]) for key in _DIGITS))
    if result["psnr_db"]["ci95"] is not None:
        intervals = (_interval(result[key]["ci95"], f".{digits}f") for key, digits in _DIGITS.items())
        table.add_row("95% interval", *intervals)
    return table


def _differences(title: str, against: dict[str, Any]) -> Table:
    """The mean difference in each metric, paired by picture, and whether it is more than chance."""
    table = plain_table(title, "difference", "95% interval", "beyond zero")
    for key in _DIGITS:
        found, digits = against[key], METRICS[key].decimals
        interval = "" if found["ci95"] is None else _interval(found["ci95"], f"+.{digits}f")
        beyond = {True: "yes", False: "no", None: "one photograph cannot say"}[found["beyond_zero"]]
        table.add_row(_heading(key), f"{found['mean']:+.{digits}f}", interval, beyond)
    return table


def _heading(key: str) -> str:
    metric = METRICS[key]
    arrow = {"higher": "↑", "lower": "↓", "none": ""}[metric.direction]
    return " ".join(part for part in (metric.title, metric.unit, arrow) if part)


def _change(key: str, before: float, after: float) -> str:
    return f"{before:.{_DIGITS[key]}f} → {after:.{_DIGITS[key]}f}"


def _interval(ends: tuple[float, float], form: str) -> str:
    return " to ".join(format(end, form) for end in ends)
