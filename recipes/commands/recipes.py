"""ls, show, cp, validate, schema: what there is, and recipes as files. Of these only validate may import torch."""

import json
from pathlib import Path

import click
from pydantic import BaseModel
from rich.text import Text

from baseline.atomic import write_whole
from baseline.errors import UserError
from baseline.networks.zoo import by_name_alone
from baseline.user_code import is_allowed, module_of
from recipes.listing import describe
from recipes.options import allow_for_this_command, code_option, json_option, override_option
from recipes.plain_table import plain_list, plain_table
from recipes.printing import output
from recipes.resolve import artifact_folder
from recipes.schema import SUFFIXES, read_recipe, recipe_json_schema, recipe_path, recipe_text
from recipes.typed_code import code_assigned
from reports.folding_text import FoldingText
from reports.table import DASH


@click.command()
@click.argument("what", default="recipes")
@click.option("--time", "timed", is_flag=True, help="Of students: time what was not timed here yet, or all again.")
@json_option
def ls(what: str, timed: bool, as_json: bool) -> None:
    """List WHAT: recipes (default), networks, students, datasets, criteria, allocations, calibrations, schemes,
    runtimes, stages, presets or augmentations.

    Students come with their cost and, once it was taken with --time, their latency on this machine.
    """
    listed = describe(what)
    if what == "students":
        _list_students(timed, as_json)
        return
    if timed:
        raise UserError(f"--time must go with students; got {what}. Type: lightsharp ls students --time")
    if as_json:
        click.echo(json.dumps(listed, indent=1))
        return
    table = plain_list()
    for name, about in listed.items():
        table.add_row(FoldingText(name, style="bold"), about)
    output().print(table)


def _list_students(timed: bool, as_json: bool) -> None:
    from recipes import students

    if timed:
        students.time_students()
    table = students.student_table()
    if as_json:
        click.echo(json.dumps(students.as_json(table), indent=1))
        return
    shown = plain_table("student", "params", "GMACs", *(f"{precision} ms" for precision in students.PRECISIONS))
    shown.add_column("what for", overflow="fold")
    for row in (table.teacher, *table.students):
        against = (f"{row.params / 1e6:.3f} M", f"{row.macs / 1e9:.2f}")
        latencies = (DASH if ms is None else f"{ms:.1f}" for ms in row.latency_ms.values())
        shown.add_row(FoldingText(row.name, style="bold"), *against, *latencies, row.about)
    console = output()
    console.print(shown)
    console.print(Text(f"Sized after the shipped teacher; {table.conditions}.", style="dim"))
    console.print(Text(f"MACs do not count: {', '.join(table.uncounted)}.", style="dim"))


@click.command()
@click.argument("name")
def show(name: str) -> None:
    """Print a recipe."""
    click.echo(recipe_text(recipe_path(name)), nl=False)


@click.command()
@click.argument("recipe")
@click.argument("file", type=click.Path(path_type=Path))
def cp(recipe: str, file: Path) -> None:
    """Copy a shipped recipe to FILE, to change it."""
    source = recipe_path(recipe)
    if file.suffix not in SUFFIXES:
        raise UserError(
            f"{file} must end in .yaml, as recipes do. Type: lightsharp cp {recipe} {file.with_suffix('.yaml')}"
        )
    if file.exists():
        raise UserError(f"{file} must not be there yet; it is, and stays as it was. Choose another name.")
    try:
        write_whole(file, source.read_text())
    except OSError as error:
        raise UserError(f"{file} must be a file that can be written; {error.strerror}. Choose another place.") from None
    click.echo(f"wrote {file}; change it, then type: lightsharp run {file}")


@click.command()
@click.argument("recipe")
@override_option
@code_option
def validate(recipe: str, assignments: tuple[str, ...]) -> None:
    """Check a recipe without running it. Networks of your own are built, and restore a small picture.

    Code that the recipe names and you have not allowed is not imported: all else is checked.
    """
    allow_for_this_command(code_assigned(assignments))
    with by_name_alone():
        checked, _ = read_recipe(recipe, assignments)
    if checked.teacher.network is not None:
        artifact_folder(checked.teacher.network)
    left_out = [name for name, arguments in checked.code if not is_allowed(name, arguments)]
    for name in dict.fromkeys(left_out):
        click.echo(
            f"not looked at: network '{name}', code that you have not allowed; add --allow-code {module_of(name)}"
        )
    if checked.must_be_built and not left_out:
        from recipes.beginnings import check_beginnings

        for note in check_beginnings(checked).notes:
            click.echo(note)
    click.echo(
        f"{recipe} is right: {len(checked.variants)} variants, {sum(map(len, checked.variants.values()))} stages"
    )


@click.command()
@click.argument("what", default="recipe", type=click.Choice(["recipe", "report", "diff"]))
def schema(what: str) -> None:
    """Print the JSON Schema of a recipe (for editors), of report.json, or of what `diff --json` prints."""
    if what == "recipe":
        click.echo(json.dumps(recipe_json_schema(), indent=1))
        return
    from reports.diff import Difference
    from reports.record import Report

    models: dict[str, type[BaseModel]] = {"report": Report, "diff": Difference}
    click.echo(json.dumps(models[what].model_json_schema(), indent=1))
