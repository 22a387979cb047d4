"""Memory: what is free, and what a restorer takes for each pixel, measured."""

import math
import re
from pathlib import Path

import psutil
import torch

from baseline import resident
from baseline.errors import UserError
from baseline.restorer import Restorer, fitting_size

_WARM_UP, _PROBE = (64, 64), (384, 384)
_ROUND_UP = 100
_UNMEASURED = 2000
"""Bytes a pixel where no peak can be read: the shipped teacher took 1,540 run by PyTorch, the most of its runtimes."""
_SHARE = 0.75
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_CGROUP = Path("/sys/fs/cgroup")


def parse_memory(text: str) -> int:
    """Bytes from `1.5GB`, `800MB` or `2G` (powers of 1000); a UserError for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)b?\s*", text, re.IGNORECASE)
    if found is None or float(found[1]) == 0:
        raise UserError(f"--memory must be a size such as 1.5GB or 800MB; got '{text}'.")
    return round(float(found[1]) * _UNITS[found[2].lower()])


def free_memory() -> int:
    """Three quarters of the bytes that this process could still take: of the machine's, or of its control group's."""
    free = [psutil.virtual_memory().available]
    limit, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if limit.is_file() and used.is_file() and limit.read_text().strip() != "max":
        free.append(int(limit.read_text()) - int(used.read_text()))
    return max(0, int(min(free) * _SHARE))


def bytes_per_pixel(restorer: Restorer) -> int:
    """The most memory that the process took on more for each pixel of a picture, over three runs, rounded up.

    Where the peak cannot be read, what a large network takes.
    """
    if not resident.known():
        return _UNMEASURED
    size = restorer.fixed_size or fitting_size(_PROBE, restorer.size_multiple, restorer.min_size)
    restorer(
        torch.zeros(1, 3, *(restorer.fixed_size or fitting_size(_WARM_UP, restorer.size_multiple, restorer.min_size)))
    )
    picture = torch.zeros(1, 3, *size)
    before = resident.resident_bytes()
    resident.forget_peak()
    for _ in range(3):
        restorer(picture)
    taken = resident.peak_bytes() - before
    return max(1, math.ceil(taken / (size[0] * size[1]) / _ROUND_UP)) * _ROUND_UP
