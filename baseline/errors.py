"""The one error that means: the user's input, not our code, is wrong."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """One line for the user: what must hold, what we got, what to type. The command line exits with code 2."""


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its name where it says nothing."""
    return (str(error) or repr(error)).splitlines()[0]


def named_line(error: BaseException) -> str:
    """An error's name and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason'}"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is in no table: the nearest name and all choices."""
    choices = sorted(known)
    nearest = get_close_matches(name, choices, n=1, cutoff=0.5)
    guess = f" Did you mean '{nearest[0]}'?" if nearest else ""
    return UserError(f"no {kind} {name!r}.{guess} Known: {', '.join(choices)}.")
