"""What becomes of an error in a variant's work: a reason in one line, and a traceback beside the record."""

import traceback
from pathlib import Path

from baseline.atomic import disk_full, write_whole
from baseline.errors import UserError, named_line
from baseline.progress import console

TRACEBACK = "traceback.txt"


class FailedBeforeError(UserError):
    """A stage that has failed in this run is asked for again; it holds the reason of the first time."""


def reason_of(error: Exception) -> str:
    """Why something failed, in one line: the user's errors and full disks in their own words, others by name."""
    known = disk_full(error) or error
    if isinstance(known, MemoryError) and not str(known):
        return "MemoryError: there is not enough memory"
    return str(known) if isinstance(known, UserError) else named_line(known)


def keep_traceback(error: Exception, folder: Path) -> None:
    """Write an error's traceback into a variant's folder and tell where it is; nothing where one line says all."""
    if isinstance(error, UserError) or disk_full(error) is not None:
        return
    write_whole(folder / TRACEBACK, "".join(traceback.format_exception(error)))
    told = f"{folder.name}: its traceback is in {folder / TRACEBACK}"
    console.print(told, highlight=False, markup=False, soft_wrap=True)
