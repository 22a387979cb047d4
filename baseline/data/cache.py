"""Decoded pictures kept in memory as 8 bits, within a budget."""

import sys
from collections.abc import Callable
from pathlib import Path

from baseline.data.pictures import Picture


class PictureCache:
    """Reads pictures, and keeps those that came first until the budget is full.

    Crops are drawn at random, so that no picture is likelier to be next than another: evicting one for another wins
    nothing. Loader workers share out what the budget leaves when they start. What is handed out cannot be written to.
    """

    def __init__(self, read: Callable[[Path], Picture], budget_mb: int) -> None:
        self._read = read
        self._budget = budget_mb * 1_000_000
        self._kept: dict[Path, Picture] = {}
        self._shared_out = False
        self.hits = 0
        self.misses = 0
        self.bytes = 0
        """What the kept pictures take."""

    def __call__(self, path: Path) -> Picture:
        """The picture of a file, read-only."""
        if path in self._kept:
            self.hits += 1
            return self._kept[path]
        self.misses += 1
        picture = self._read(path)
        picture.setflags(write=False)
        if self.bytes + picture.nbytes <= self._own_budget():
            self._kept[path] = picture
            self.bytes += picture.nbytes
        return picture

    def _own_budget(self) -> int:
        """The budget of this process: in a loader worker, its share of what was left when it started."""
        if not self._shared_out and (workers := _loader_workers()) > 0:
            self._budget = self.bytes + (self._budget - self.bytes) // workers
            self._shared_out = True
        return self._budget


def _loader_workers() -> int:
    """How many workers the loader has that this process works for; 0 outside of a worker."""
    if "torch" not in sys.modules:
        return 0
    from torch.utils.data import get_worker_info

    info = get_worker_info()
    return 0 if info is None else info.num_workers
