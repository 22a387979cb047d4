"""Named choices: a table that answers a wrong name with the nearest right one."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from baseline.errors import unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Names and what they stand for, each with the first line of its docstring as its description."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that enters what it decorates under `name`."""

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        """The entry called `name`; a UserError with the nearest name and all choices if there is none."""
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def describe(self) -> dict[str, str]:
        """Every name with the first line of its docstring."""
        return {name: (self._entries[name].__doc__ or "").strip().split("\n")[0] for name in self}
