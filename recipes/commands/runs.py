"""run, apply, check: recipes, and whether they gave what they promise."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from baseline.networks.zoo import by_name_alone
from recipes.commands.reporting import show_report
from recipes.expectations import unmet
from recipes.options import allow_for_this_command, code_option, data_options, override_option
from recipes.parse import assign_, parse_yaml
from recipes.printing import output
from recipes.recovery import read_run
from recipes.run_folder import RUNS, recipe_of
from recipes.schema import Recipe, check_recipe, read_recipe
from recipes.typed_code import code_assigned, code_in


@click.command()
@click.argument("recipe")
@override_option
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: runs/RECIPE]")
@click.option("--dry-run", is_flag=True, help="Show what would be done, widths included.")
@code_option
def run(recipe: str, assignments: tuple[str, ...], out: Path | None, dry_run: bool) -> None:
    """Run a recipe: a shipped name or a YAML file. A run that was killed goes on where it was."""
    allow_for_this_command(code_assigned(assignments))
    checked, content = read_recipe(recipe, assignments)
    name = Path(recipe).stem
    folder = out or RUNS / name
    if dry_run:
        _show_plans(checked, folder)
        return
    own = Path(recipe) == folder / "recipe.yaml"  # a run that goes on keeps its name
    _run_and_show(checked, content, folder.resolve().name if own else name, folder)


@click.command()
@click.argument("network")
@click.argument("stages", nargs=-1, required=True)
@data_options
@override_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The run's folder.")
@code_option
def apply(
    network: str, stages: tuple[str, ...], data: str, root: Path | None, assignments: tuple[str, ...], out: Path
) -> None:
    """Apply STAGES, such as 'prune: {params_cut: 0.3}' 'train: {steps: 300}', to a network, without a recipe.

    The result is exported for every runtime that is here, and timed there, which takes minutes: choose with --set
    measure.runtimes=[openvino].
    """
    steps = [parse_yaml(stage, f"stage '{stage}'") for stage in stages]
    content = {
        "description": f"{network} with {', '.join(stages)}",
        "teacher": {"network": network},
        "data": {"name": data} | ({} if root is None else {"root": str(root)}),
        "variants": {"applied": steps},
    }
    for text in assignments:
        assign_(content, text)
    allow_for_this_command(code_in(content))
    _run_and_show(check_recipe(content, "apply"), content, out.name, out)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def check(folder: Path) -> None:
    """Check a run against what its recipe expects; exit code 1 if a number lies outside."""
    with by_name_alone():
        recipe, _ = read_recipe(str(recipe_of(folder, "and not what is expected of it")))
    misses = unmet(read_run(folder), recipe.expect)
    for miss in misses:
        click.echo(miss)
    checked = sum(map(len, recipe.expect.values()))
    held = f"{checked - len(misses)} of {checked} expected numbers hold"
    click.echo(held if checked else "nothing was checked: the run's recipe expects no numbers")
    if misses:
        sys.exit(1)


def _run_and_show(recipe: Recipe, content: dict[str, Any], name: str, out: Path) -> None:
    from recipes.runner import run_recipe

    command = shlex.join(["lightsharp", *sys.argv[1:]])
    finished = run_recipe(recipe, content, name, out, command)
    show_report(finished, out)
    if any(v.status == "failed" or any(g.passed is not True for g in v.gates) for v in finished.variants):
        sys.exit(1)


def _show_plans(recipe: Recipe, out: Path) -> None:
    from recipes.plan_view import show_plan
    from recipes.planning import planned_chains

    console, impossible = output(), False
    for name, steps in planned_chains(recipe, out):
        console.print(Text(name, style="bold underline"))
        for step in steps:
            show_plan(console, step)
            impossible = impossible or step.impossible
    if impossible:
        sys.exit(1)
