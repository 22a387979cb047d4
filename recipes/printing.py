"""Standard output: names and texts of users are shown as they are, whatever brackets and colons are in them."""

from rich.console import Console


def output() -> Console:
    """The console of what a command was asked for."""
    return Console(markup=False, emoji=False)
