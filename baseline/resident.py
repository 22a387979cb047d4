"""Memory that this process holds, as Linux counts it."""

import ctypes
import re
from pathlib import Path

from baseline.errors import UserError

_STATUS = Path("/proc/self/status")


def known() -> bool:
    """Whether it can be read here."""
    return _STATUS.is_file()


def resident_bytes() -> int:
    """What is held now. What was freed and is still held is given back first: it would hide what is taken next."""
    give_back()
    return _status_bytes("VmRSS")


def give_back() -> None:
    """Give back to the system what was freed and is still held."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; other libraries have none
    if trim is not None:
        trim(0)


def peak_bytes() -> int:
    """The most that was held since the process began, or since `forget_peak`."""
    return _status_bytes("VmHWM")


def forget_peak() -> None:
    """Set the peak back to what is held now: writing 5 does that."""
    Path("/proc/self/clear_refs").write_text("5")


def _status_bytes(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise UserError(f"peak memory must be read from {_STATUS}; it has no {key}.")
    return 1024 * int(found[1])
