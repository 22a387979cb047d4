"""The command line. Commands import what they need when they run, so that listing and reporting stay light."""

import sys
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from baseline.atomic import disk_full
from baseline.errors import UserError, unknown_name
from baseline.names import print_any_name
from baseline.version import VERSION
from recipes.commands.doctor import doctor
from recipes.commands.evaluating import evaluate
from recipes.commands.exporting import export
from recipes.commands.measuring import measure
from recipes.commands.pairs import make_pairs
from recipes.commands.pruning import prune, sensitivity, verify_prune
from recipes.commands.recipes import cp, ls, schema, show, validate
from recipes.commands.recommending import recommend
from recipes.commands.reporting import diff, report
from recipes.commands.restoring import restore
from recipes.commands.runs import apply, check, run
from recipes.commands.training import train
from recipes.commands.watching import watch
from recipes.commands.weights import import_weights


class Commands(click.Group):
    """A group that answers a wrong command with the nearest right one, and a user's mistake with one line."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was typed."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise unknown_name("command", args[0], self.commands)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Click itself would end an interrupted one with 1, as if a gate had failed."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted; what is finished is kept, and the same command goes on from there", err=True)
            ctx.exit(130)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, with the exit codes of the program: 0 fine, 1 failed, 2 wrong input, 130 interrupted."""
        print_any_name()
        try:
            return super().main(*args, **kwargs)
        except Exception as error:
            told = error if isinstance(error, UserError) else disk_full(error)
            if told is None:
                raise
            Console(stderr=True, soft_wrap=True, highlight=False).print(Text("error:", style="red"), end=" ")
            click.echo(str(told), err=True)
            sys.exit(2)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(VERSION, prog_name="lightsharp")
def main() -> None:
    """Make image-restoration networks light, and prove it."""


for command in (
    ls,
    show,
    cp,
    validate,
    schema,
    run,
    watch,
    report,
    diff,
    check,
    recommend,
    apply,
    train,
    evaluate,
    measure,
    restore,
    export,
    prune,
    sensitivity,
    verify_prune,
    import_weights,
    make_pairs,
    doctor,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
