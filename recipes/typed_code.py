"""The code that a user types: networks and students in --set and in the stages of `apply`."""

from collections.abc import Iterable, Iterator
from typing import Any

from baseline.networks.user_networks import is_users
from baseline.user_code import check_name
from recipes.parse import parse_assignments

_PLACES = {("train", "network"), ("distill", "student")}
"""Where a recipe names code; `teacher.network` is a folder, whatever its name."""


def code_in(content: Any, within: str = "") -> Iterator[str]:
    """Every `package.module:factory` that a recipe's content names, or its part under the key `within`.

    A UserError for one that is written wrong.
    """
    if isinstance(content, list):
        for part in content:
            yield from code_in(part)
    elif isinstance(content, dict):
        for key, value in content.items():
            if (within, key) in _PLACES and isinstance(value, str) and is_users(value):
                check_name(value)
                yield value
            yield from code_in(value, str(key))


def code_assigned(assignments: Iterable[str]) -> list[str]:
    """What `--set` texts name."""
    return [name for text in assignments for name in code_in(parse_assignments([text]))]
