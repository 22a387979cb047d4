"""What a process knows of the machine while it times: its own threads, the load of others, the pace of the clock."""

import hashlib
import time
from collections.abc import Callable

import psutil
import torch

from compress.stopwatch import cpu_stopwatch, cuda_stopwatch

_LOOK_S = 0.02
"""Longer than a tick of any system's clock, at which the processor time of a running thread is written down."""
_ASLEEP_SHARE = 0.05
_NO_WORK = ("idle", "iowait", "guest", "guest_nice")
"""Time in which a processor does nothing or, on Linux, that is counted as user time as well."""
_PACES = 5
_HASHED = bytes(2**20)


def fall_asleep(limit_s: float = 5.0) -> bool:
    """Wait until no thread of this process computes; whether that came within the limit.

    The threads of a pool wait for their next work by spinning, and take the processors of whoever is timed next.
    """
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        computing, waiting = time.process_time(), time.perf_counter()
        time.sleep(_LOOK_S)
        if time.process_time() - computing < _ASLEEP_SHARE * (time.perf_counter() - waiting):
            return True
    return False


class OtherLoad:
    """The processor time that everything else on the machine takes from now on."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._others_s = _others_s()

    def seconds(self) -> float:
        """Of all processors together."""
        return max(0.0, _others_s() - self._others_s)

    def share(self) -> float:
        """Of all the time that the processors had."""
        return self.seconds() / ((time.perf_counter() - self._began) * (psutil.cpu_count() or 1))


def _others_s() -> float:
    """Seconds that all processors have computed, this process left out."""
    times = psutil.cpu_times()
    idle_s = sum(getattr(times, name, 0.0) for name in _NO_WORK)
    return float(sum(times) - idle_s - time.process_time())


def pace_ms(device: str) -> float:
    """Milliseconds of a fixed computation of one thread, or of a GPU: longer where the clock is slower."""
    call, watch = (_matmul(), cuda_stopwatch) if device == "cuda" else (_hash, cpu_stopwatch)
    return min(watch(call) for _ in range(_PACES))


def _hash() -> object:
    return hashlib.sha256(_HASHED).digest()


def _matmul() -> Callable[[], object]:
    square = torch.ones(2048, 2048, device="cuda")
    return lambda: square @ square
