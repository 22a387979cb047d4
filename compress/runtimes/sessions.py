"""Runtimes that are told their number of threads when they start: a restorer that starts them again when it changes."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from baseline.restorer import in_batches

Run = Callable[[np.ndarray], np.ndarray]
"""Restores float32 of 1,3,H,W."""


class SessionRestorer:
    """An opened file: pictures go through it one by one, on as many threads as torch has at that moment."""

    fixed_size: tuple[int, int] | None = None
    max_batch: int | None = 1

    def __init__(self, start: Callable[[int], Run], sizes: tuple[int, int]) -> None:
        self.size_multiple, self.min_size = sizes
        self._start = start
        self._threads = torch.get_num_threads()
        self._run = start(self._threads)

    def __call__(self, blurred: Tensor) -> Tensor:
        threads = torch.get_num_threads()
        if threads != self._threads:
            self._run, self._threads = self._start(threads), threads
        return in_batches(self._restored, blurred, self.max_batch)

    def release(self) -> None:
        """Give back what the runtime holds from one call to the next, where it can."""
        release = getattr(self._run, "release", None)
        if release is not None:
            release()

    def _restored(self, picture: Tensor) -> Tensor:
        return torch.from_numpy(self._run(np.ascontiguousarray(picture.detach().cpu().numpy())))
