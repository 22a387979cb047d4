"""From what people type to settings objects; every mistake is one line with the nearest right name."""

from collections.abc import Iterable
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from baseline.errors import UserError, unknown_name

M = TypeVar("M", bound=BaseModel)

_MOST_SHOWN = 60
"""The letters of a value that an error shows."""


def parse(model: type[M], values: Any, where: str) -> M:
    """Build a settings object; a UserError says which key of `where` is unknown, missing or wrong."""
    if not isinstance(values, dict):
        raise UserError(f"{where} must be a mapping of keys to values; got {shown(values)}.")
    _check_keys(model, values, where)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _explained(error, where) from None


def _check_keys(model: type[BaseModel], values: dict[str, Any], where: str) -> None:
    """A UserError for a key that the model, or a model inside it, does not know."""
    for key, value in values.items():
        if key not in model.model_fields:
            raise UserError(f"{where}: {unknown_name('key', str(key), model.model_fields)}")
        for inner in _models_in(model.model_fields[key].annotation):
            if isinstance(value, dict):
                _check_keys(inner, value, f"{where}.{key}")


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The settings that a field may hold: itself, or what is in its union with None."""
    choices = get_args(annotation) or (annotation,)
    return [choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)]


def _explained(error: ValidationError, where: str) -> UserError:
    first = error.errors()[0]
    place = ".".join([where, *(str(part) for part in first["loc"])])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return UserError(f"{place} must be given; it is missing.")
    if first["type"] == "value_error":
        joint = " " if message.startswith("must") else ": "
        return UserError(f"{place}{joint}{message}.")
    return UserError(f"{place}: {_lower_first(message)}; got {shown(first['input'])}.")


def shown(value: Any) -> str:
    """A value as an error shows it: the beginning of a long one."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


_DEEPEST = 32
"""Levels of lists and mappings in what a user writes; recipes have six."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice: of two variants of one name, YAML would drop the first in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' is there twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, where: str) -> Any:
    """The YAML value of a text; a UserError, with line and column if it is not YAML, or if it is nested too deep."""
    try:
        value = yaml.load(text, _Loader)
    except RecursionError:
        raise _too_deep(where) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{where} must be YAML; {getattr(error, 'problem', None) or 'it is not'}{at}.") from None

    if _is_deeper(value, _DEEPEST):
        raise _too_deep(where)
    return value


def _too_deep(where: str) -> UserError:
    return UserError(f"{where} must be nested at most {_DEEPEST} levels deep; it is nested deeper. Write it flatter.")


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and mappings are nested deeper; each is looked at once a level, as often as aliases repeat it."""
    held = {id(value): value}
    for _ in range(levels):
        held = {id(inner): inner for outer in held.values() for inner in _inner(outer)}
    return bool(held)


def _inner(value: Any) -> Iterable[Any]:
    """What a list or a mapping holds."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """`a.b=1` texts as nested mappings, their values read as YAML."""
    values: dict[str, Any] = {}
    for text in assignments:
        assign_(values, text)
    return values


def assign_(values: Any, text: str) -> None:
    """Set `a.0.b=1` in nested mappings and lists, in place, making mappings that are not there."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise UserError(f"--set must be given as KEY=VALUE; got '{text}'. Type for example --set steps=100.")
    *parents, last = path.split(".")
    place = values
    for part in parents:
        place = _inside(place, part, path)
    if isinstance(place, list):
        _inside(place, last, path)
        place[int(last)] = parse_yaml(value, text)
    elif isinstance(place, dict):
        place[last] = parse_yaml(value, text)
    else:
        raise UserError(f"--set {path} must name a key of a mapping; what holds '{last}' is {shown(place)}.")


def _inside(place: Any, part: str, path: str) -> Any:
    if isinstance(place, list):
        if not part.isdecimal() or int(part) >= len(place):
            raise UserError(f"--set {path}: '{part}' must be a number from 0 to {len(place) - 1}, a place in a list.")
        return place[int(part)]
    if isinstance(place, dict):
        return place.setdefault(part, {})
    raise UserError(f"--set {path} must name a key of a mapping; what holds '{part}' is {shown(place)}.")
