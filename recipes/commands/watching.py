"""watch: where a run stands, while it goes on."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from recipes.live import RunState, live_state
from recipes.live_view import live_view
from recipes.options import json_option
from recipes.printing import output

_SECONDS_BETWEEN_LOOKS = 1.0


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Print how things stand now, and end; so it is where there is no terminal.")
@json_option
def watch(folder: Path, once: bool, as_json: bool) -> None:
    """Watch a run: stages done, running and waiting, losses, time left. Ends with the run.

    Only the run's files are read: it may run anywhere, and does not notice. Exit code 1 if it was stopped before its
    end.
    """
    console = output()
    if as_json:
        state = live_state(folder)
        click.echo(state.model_dump_json(indent=1))
    elif once or not console.is_terminal:
        state = live_state(folder)
        console.print(live_view(state, _now()))
    else:
        state = _followed(folder, console)
    if state.status == "stopped":
        sys.exit(1)


def _followed(folder: Path, console: Console) -> RunState:
    """Show the state until the run is no longer running, or until Ctrl-C; returns the last."""
    state = live_state(folder)
    with Live(live_view(state, _now()), console=console, auto_refresh=False) as live:
        try:
            while state.status == "running":
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                state = live_state(folder)
                live.update(live_view(state, _now()), refresh=True)
        except KeyboardInterrupt:
            pass  # the run goes on; only the looking ends
    return state


def _now() -> datetime:
    return datetime.now(UTC)
