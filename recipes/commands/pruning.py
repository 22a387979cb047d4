"""prune, sensitivity, verify-prune: where channels can go, and what that costs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from baseline.settings import DataSettings
from baseline.user_code import check_name
from recipes.options import Command, allow_for_this_command, code_option, data_options, json_option
from recipes.parse import parse, parse_yaml
from recipes.printing import output
from recipes.targets import TARGETS

_criterion_option = click.option(
    "--criterion", default="fisher", show_default=True, help="Which channels go first (lightsharp ls criteria)."
)
_crops_options = (
    click.option(
        "--crops", type=int, default=32, show_default=True, help="Training crops; sensitivity takes the first few."
    ),
    click.option("--crop", type=int, help="Their side in pixels.  [default: 96, or the largest that fits]"),
    click.option("--seed", type=int, default=0, show_default=True),
)


def _typed(options: dict[str, Any]) -> dict[str, Any]:
    """The options without a crop that was not typed: its default fits itself to the data."""
    return {key: value for key, value in options.items() if key != "crop" or value is not None}


def _crops(command: Command) -> Command:
    for option in reversed(_crops_options):
        command = option(command)
    return command


def _targets(command: Command) -> Command:
    for name, target in reversed(TARGETS.items()):
        help_text = f"How much {name} to leave: a share (0.5x) or a value ({target.example})."
        command = click.option(target.option, f"target_{name}", metavar="SHARE|VALUE", help=help_text)(command)
    return command


@click.command("verify-prune")
@click.argument("network")
@click.option("--arguments", default="{}", help="Of a network that is built anew, as '{width: 8}'.")
@code_option
@json_option
def verify_prune(network: str, arguments: str, as_json: bool) -> None:
    """Check, for each group of channels of NETWORK, that removing them is zeroing them.

    NETWORK: a shipped name, an artifact, a registered network or package.module:factory. Errors are relative to what
    zeroing the channels changes, in double precision; what is not exact is protected from pruning.
    """
    from recipes.networks import is_new_code
    from recipes.plan_view import checks_table
    from recipes.pruning import checks_of

    given = parse_yaml(arguments, "--arguments")
    if not isinstance(given, dict):
        raise click.BadParameter(
            f"must be a mapping, such as '{{width: 8}}'; got '{arguments}'", param_hint="--arguments"
        )
    if is_new_code(network):
        check_name(network)
        allow_for_this_command([network])
    checks = checks_of(network, given)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=1))
        return
    output().print(checks_table(checks))
    exact = sum(check.protected_because is None for check in checks)
    click.echo(f"{exact} of {len(checks)} groups can be pruned exactly; {len(checks) - exact} are protected")


@click.command()
@click.argument("network")
@_criterion_option
@_crops
@data_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for sensitivity.json and .html.")
@code_option
@json_option
def sensitivity(
    network: str, criterion: str, data: str, root: Path | None, out: Path, as_json: bool, **crops: int | None
) -> None:
    """Measure what pruning each group of NETWORK alone costs, at several ratios, on training crops."""
    chosen = parse(DataSettings, {"name": data, "root": root}, "data")
    from compress.pruning_settings import PruneSettings

    settings = parse(PruneSettings, {"ratio": 0.5, "criterion": criterion, **_typed(crops)}, "sensitivity")
    from recipes.pruning import sensitivity_to
    from reports.sensitivity import sensitivity_table

    curves = sensitivity_to(out, network, settings, chosen).as_json()
    if as_json:
        click.echo(json.dumps(curves, indent=1))
        return
    output().print(sensitivity_table(curves))
    click.echo(f"wrote {out / 'sensitivity.json'} and {out / 'sensitivity.html'}")


@click.command()
@click.argument("network")
@_targets
@_criterion_option
@click.option(
    "--widths", default="sensitivity", show_default=True, help="How to share out the cut (lightsharp ls allocations)."
)
@click.option("--multiple", type=int, default=0, help="Round widths to it.  [default: 16; 8 below 32 channels]")
@click.option("--floor", type=float, default=0.1, show_default=True, help="The least share that a layer keeps.")
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--dtype", default="fp32", show_default=True, type=click.Choice(["fp32", "fp16"]))
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: what torch takes]")
@_crops
@data_options
@click.option("--out", type=click.Path(path_type=Path), help="The artifact's folder to make.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and write nothing.")
@code_option
def prune(network: str, data: str, root: Path | None, out: Path | None, dry_run: bool, **given: Any) -> None:
    """Prune NETWORK (a shipped name or an artifact) to a target, without training. Fine-tune the result after.

    A latency target is met by a table of timed layers, and then checked by the clock on the compiled network.
    """
    chosen = parse(DataSettings, {"name": data, "root": root}, "data")
    targets = {name: given.pop(f"target_{name}") for name in TARGETS}
    place = {key: given.pop(key) for key in ("device", "dtype", "threads")}
    if out is None and not dry_run:
        raise click.UsageError("--out DIR must be given, or --dry-run.")
    from recipes.pruning import plan_named, prune_to, settings_from

    typed = {name: text for name, text in targets.items() if text is not None}
    settings = settings_from(network, typed, {**_typed(given), "latency": place})
    from recipes.plan_view import show_plan, show_report

    console = output()
    if dry_run or out is None:
        show_plan(console, plan_named(network, settings, chosen))
        return
    show_report(console, prune_to(out, network, settings, chosen))
    click.echo(f"wrote {out}; fine-tune it: lightsharp train --from {out} --steps 300 --set lr=4e-4 --out OTHER")
