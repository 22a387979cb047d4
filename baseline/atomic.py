"""Files that appear whole or not at all, and a full disk told in one line whichever library runs into it."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from baseline.errors import UserError

_LONG_NAME = 240
"""Bytes of a name beside which a longer one, of 255 at most, still has room."""
_ERRORS = {errno.ENOSPC, errno.EDQUOT}
_WORDS = re.compile(r"No space left on device|Disk quota exceeded|os error (28|122)\b")
_TOO_LARGE = re.compile(r"File too large|os error 27\b")
_LEFTOVER = re.compile(r"\..+\.(?P<process>\d{1,9})\.part(\.\w+)?", re.DOTALL)
_SPARE_BYTES = 2**20


class DiskFullError(UserError):
    """A disk has no room for what is to be written: where, how much there is, and how much is missing if known."""


@contextmanager
def whole_file(path: Path, size: int | None = None) -> Iterator[Path]:
    """A path beside, with the same suffix, to write to: at the end it is synced and becomes the file.

    If anything fails, what was there before stays, and nothing lies beside it. `size` is how many bytes will be
    written, if known. A DiskFullError if they do not fit.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = os.fsencode(path.name)
    stem = path.stem if len(name) <= _LONG_NAME else sha256(name).hexdigest()
    beside = path.with_name(f".{stem}.{os.getpid()}.part{path.suffix}")
    with room_for(path, size):
        try:
            yield beside
            sync(beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8, and its folder if need be, so that it is whole or not there."""
    held = content if isinstance(content, bytes) else content.encode()
    with whole_file(path, len(held)) as beside:
        beside.write_bytes(held)


@contextmanager
def room_for(path: Path, size: int | None = None) -> Iterator[None]:
    """Turn what anything raises while it writes a file, because its disk is full, into a DiskFullError.

    Streams of C++ do not say why they broke: whether that is why is found by trying.
    """
    try:
        yield
    except Exception as error:
        full = disk_full(error, path, size) or _found_full(path, size)
        if full is None or full is error:
            raise
        raise full from None


@contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Turn what anything raises meanwhile because the disk of a folder is full into a DiskFullError."""
    try:
        yield
    except Exception as error:
        full = disk_full(error, folder=folder)
        if full is None or full is error:
            raise
        raise full from None


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that are gone left beside the files that they were writing in a folder."""
    for path in folder.iterdir() if folder.is_dir() else ():
        found = _LEFTOVER.fullmatch(path.name)
        if found and path.is_file() and not _runs(int(found["process"])):
            path.unlink(missing_ok=True)


def disk_full(
    error: BaseException, path: Path | None = None, size: int | None = None, folder: Path = Path()
) -> DiskFullError | None:
    """The one line for an error that means a full disk; None for any other.

    Without a path it is what the error names, or else the fuller one of `folder` and the folder for temporary files.
    """
    for one in _chain(error):
        if isinstance(one, DiskFullError):
            return one
        number = one.errno if isinstance(one, OSError) else None
        too_large = number == errno.EFBIG or _TOO_LARGE.search(str(one))
        if too_large or number in _ERRORS or _WORDS.search(str(one)):
            where = path or _named(one) or min(folder.absolute(), Path(tempfile.gettempdir()), key=_free)
            return _too_large(where) if too_large else _full(where, size)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def _named(error: BaseException) -> Path | None:
    """The file that an error of the system names."""
    name = error.filename if isinstance(error, OSError) else None
    return Path(os.fsdecode(name)) if isinstance(name, str | bytes) else None


def _found_full(path: Path, size: int | None) -> DiskFullError | None:
    """What keeps so many bytes, or a few, from being written there."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            os.posix_fallocate(file.fileno(), 0, size or _SPARE_BYTES)
    except OSError as error:
        return disk_full(error, path, size)
    return None


def _full(path: Path, size: int | None) -> DiskFullError:
    free = _free(path)
    wanted = f"{megabytes(size)} are to be written, " if size else ""
    room = f"{megabytes(size - free)} more" if size and size > free else "some room"
    return DiskFullError(
        f"{path} must have room on its disk; {wanted}{megabytes(free)} are free. Make {room} there, and type the same "
        "command again: what is finished is kept."
    )


def _free(path: Path) -> int:
    """Bytes that are free where a path is or would be."""
    return shutil.disk_usage(next(folder for folder in (path, *path.absolute().parents) if folder.exists())).free


def _too_large(path: Path) -> DiskFullError:
    return DiskFullError(
        f"{path} must be of a size that its disk and your limits allow; it is too large for them. Raise the limit "
        "(ulimit -f) or write elsewhere, and type the same command again: what is finished is kept."
    )


def megabytes(count: int) -> str:
    """So many bytes as people read them."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sync(path: Path) -> None:
    """Have a file or folder on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
