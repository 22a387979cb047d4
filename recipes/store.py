"""The content-addressed store of finished work: entries appear whole or not at all, and are checked when used."""

import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from baseline.atomic import remove_leftovers, room_in
from baseline.checksum import file_sha256
from baseline.errors import UserError
from baseline.networks.zoo import own_source
from baseline.progress import console

_ENTRY = "entry.json"
_ROOT = Path(__file__).parent.parent
_LIBRARIES = (
    "torch",
    "torchao",
    "torch-pruning",
    "numpy",
    "opencv-python",
    "Pillow",
    "fvcore",
    "torchmetrics",
    "accelerate",
)


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


def key_of(identity: dict[str, Any]) -> str:
    """The key under which the result of something with this identity is kept."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


def source_sha256(sources: tuple[str, ...]) -> str:
    """The checksum of the code in files and folders, named from the folder that holds our packages."""
    digest = hashlib.sha256()
    for source in sources:
        found = _ROOT / source
        for path in sorted(found.rglob("*.py")) if found.is_dir() else [found]:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def own_network_sha256(architecture: str | None) -> str | None:
    """The checksum of the file of a user's own network, as far as it has one; None for our networks."""
    source = None if architecture is None else own_source(architecture)
    return None if source is None else file_sha256(source)


def library_versions(optional: tuple[str, ...] = ()) -> dict[str, str]:
    """The versions of the libraries that results depend on, and of optional ones."""
    return {name: importlib.metadata.version(name) for name in (*_LIBRARIES, *optional)}


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
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
