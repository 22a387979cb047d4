"""Options that several commands take."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from baseline.user_code import allowing

Command = Callable[..., Any]


root_option = click.option(
    "--root", type=click.Path(path_type=Path), help="The folder of the data set, if it is not shipped."
)
"""--root, as the commands that read a data set take it."""


def data_options(command: Command) -> Command:
    """Give a command --data and --root."""
    named = click.option(
        "--data", default="photos", show_default=True, help="A data set's name (lightsharp ls datasets)."
    )
    return named(root_option(command))


override_option = click.option(
    "--set",
    "assignments",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override a value, as variants.a.0.prune.ratio=0.3.",
)
"""--set, as the commands that read a recipe take it."""


def allow_for_this_command(names: Iterable[str]) -> None:
    """Allow code (see `baseline.user_code`) until the command that runs is done."""
    click.get_current_context().with_resource(allowing(names))


code_option = click.option(
    "--allow-code",
    metavar="PACKAGE",
    multiple=True,
    expose_value=False,
    is_eager=True,
    callback=lambda _context, _parameter, names: allow_for_this_command(names),
    help="Let files name code of this package or module, which is then run; repeatable.",
)
"""--allow-code, as all commands that open a network take it."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
"""--json, as the commands that print numbers take it."""


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from HEIGHTxWIDTH; a BadParameter for anything else."""
    height, x, width = text.lower().partition("x")
    if not (x and height.isdecimal() and width.isdecimal() and int(height) > 0 and int(width) > 0):
        raise click.BadParameter(f"must be HEIGHTxWIDTH in pixels, such as 256x256; got '{text}'")
    return int(height), int(width)
