"""The content-addressed store of finished work: entries appear whole or not at all, and are checked when used."""

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from baseline.atomic import remove_leftovers, room_in, sync
from baseline.checksum import file_sha256
from baseline.errors import UserError
from baseline.progress import console

_ENTRY = "entry.json"


class Store:
    """A folder of entries, each in a folder named by its key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, key: str) -> Path | None:
        """The finished entry of a key; None if there is none or if a file of it is damaged (it is then removed)."""
        entry = self.folder / key
        if not entry.exists():
            return None
        if _is_whole(entry):
            return entry
        console.print(f"{entry} is damaged; it is removed and made again", highlight=False, markup=False)
        shutil.rmtree(entry)
        return None

    def make(self, key: str, identity: dict[str, Any], work: Callable[[Path, Path], None]) -> Path:
        """Do `work(output, scratch)` and keep the output under the key.

        Scratch outlives a kill and a failure, if anything is in it, and goes at the end. A DiskFullError if that is why
        the work fails.
        """
        output, scratch = self.folder / f"{key}.making", self.folder / f"{key}.scratch"
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        scratch.mkdir(exist_ok=True)
        remove_leftovers(scratch)
        try:
            with room_in(self.folder):
                work(output, scratch)
                _seal(output, identity)
                output.rename(self.folder / key)
        except Exception:
            shutil.rmtree(output)  # it may be what fills the disk
            with suppress(OSError):  # something is in it, from which the work goes on
                scratch.rmdir()
            raise
        shutil.rmtree(scratch)
        return self.folder / key

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out of the store meanwhile; a UserError if one is in it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise UserError(
                f"{self.folder} must be a folder that can be written; {error.strerror}. Choose another --out."
            ) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{self.folder} must be used by one run at a time; another one is using it. Wait for it."
                ) from None
            yield


def _is_whole(entry: Path) -> bool:
    try:
        checksums: dict[str, str] = json.loads((entry / _ENTRY).read_text())["files"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError):
        return False
    return all((entry / name).is_file() and file_sha256(entry / name) == sha for name, sha in checksums.items())


def _seal(entry: Path, identity: dict[str, Any]) -> None:
    """Write down what an entry is and the checksums of its files, and have all of it on the disk."""
    files = sorted(p for p in entry.rglob("*") if p.is_file())
    checksums = {str(p.relative_to(entry)): file_sha256(p) for p in files}
    (entry / _ENTRY).write_text(json.dumps({"identity": identity, "files": checksums}, indent=1))
    for path in [*files, entry / _ENTRY, entry]:
        sync(path)
