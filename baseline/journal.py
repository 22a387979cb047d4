"""What is finished in a folder of restored files: a run that was stopped goes on from there."""

import json
from pathlib import Path
from threading import Lock
from typing import Any

from baseline.atomic import room_in
from baseline.checksum import file_sha256

NAME = ".lightsharp-restore.jsonl"


class Journal:
    """A line of JSON for each finished file: from what it was made, with what, and its checksum.

    A line is written before its file gets its name: what is there and agrees with its line is whole. `key` names the
    network and all settings; what was made with another one does not count as finished.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / NAME
        self._folder = folder
        self._key = key
        self._lock = Lock()
        self._lines: dict[str, dict[str, Any]] = {}
        held = self._path.read_text() if self._path.is_file() else ""
        self._torn = held != "" and not held.endswith("\n")
        for line in held.splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue  # the last line of a run that was killed while it wrote it
            if isinstance(entry, dict) and "target" in entry and "key" in entry:
                self._lines[entry["target"]] = entry

    def finished(self, source: Path, target: Path) -> bool:
        """Whether the target was made from this source, with this key, and is still what it was."""
        entry = self._lines.get(self._name(target), {})
        return source.is_file() and entry.get("source") == _identity(source) and self.made(target)

    def made(self, target: Path) -> bool:
        """Whether the target was made with this key, of whatever source, and is still what it was."""
        entry = self._lines.get(self._name(target))
        if entry is None or entry["key"] != self._key or not target.is_file():
            return False
        return bool(entry["sha256"] == file_sha256(target))

    def note(self, source: Path, target: Path, made: Path) -> None:
        """Say that `made` is what the target is going to be."""
        self._append(
            {
                "target": self._name(target),
                "source": _identity(source),
                "key": self._key,
                "sha256": file_sha256(made),
            }
        )

    def note_lost(self, target: Path, lost: str) -> None:
        """Say, too, what the target could not keep, so that a run that goes on says it again."""
        self._append(self._lines[self._name(target)] | {"lost": lost})

    def lost(self, target: Path) -> str | None:
        """What a finished target could not keep; None if nothing was said."""
        return self._lines.get(self._name(target), {}).get("lost")

    def settings(self) -> dict[str, Any] | None:
        """What a run with this key measured, so that another one does as it did; None if none said so."""
        entry = self._lines.get(_SETTINGS)
        return entry["settings"] if entry is not None and entry["key"] == self._key else None

    def note_settings(self, settings: dict[str, Any]) -> None:
        """Say what was measured, unless that has been said."""
        if settings != self.settings():
            self._append({"target": _SETTINGS, "key": self._key, "settings": settings})

    def _append(self, entry: dict[str, Any]) -> None:
        with self._lock:
            self._lines[entry["target"]] = entry
            self._write(json.dumps(entry))

    def _write(self, line: str) -> None:
        with room_in(self._folder), self._path.open("a") as file:
            began, self._torn = "\n" if self._torn else "", True
            file.write(f"{began}{line}\n")
            file.flush()
            self._torn = False

    def _name(self, target: Path) -> str:
        return target.relative_to(self._folder).as_posix()


_SETTINGS = ""
"""In place of a target's name, which is never empty."""


def _identity(source: Path) -> list[int]:
    stat = source.stat()
    return [stat.st_size, stat.st_mtime_ns]
