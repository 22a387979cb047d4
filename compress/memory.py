"""Peak memory: each target in a process of its own, over what Python and torch take there without it."""

import json
import subprocess
import sys

import torch

from baseline import resident
from baseline.errors import UserError
from compress.stopwatch import threads_set
from compress.target import Target

_CALLS_ON_CUDA = 4
"""A CUDA graph is recorded in the second."""


def peak_mb(target: Target) -> float:
    """Megabytes (10^6 bytes) that restoring takes at its height, weights included; a UserError if none can be read."""
    if target.device == "cpu" and not resident.known():
        raise UserError("peak memory on a CPU must be read from Linux's /proc; there is none here.")
    command = [sys.executable, "-m", "compress.memory", json.dumps(target.as_json())]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise UserError(f"a process of its own must run it; it ended with {done.returncode}: {said}")
    return int(done.stdout.split()[-1]) / 1e6


def peak_bytes(target: Target) -> int:
    """What opening and calling a target takes in this process at its height."""
    with threads_set(target.threads):
        return _peak_on_cuda(target) if target.device == "cuda" else _peak_on_cpu(target)


def _peak_on_cpu(target: Target) -> int:
    image = target.image()
    before = resident.resident_bytes()
    restorer = target.open()
    restorer(image)
    resident.forget_peak()  # what compiling took at its height is no part of restoring
    restorer(image)
    return resident.peak_bytes() - before


def _peak_on_cuda(target: Target) -> int:
    image = target.image()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before, free_before = torch.cuda.memory_allocated(), torch.cuda.mem_get_info()[0]
    restorer = target.open()
    for _ in range(_CALLS_ON_CUDA):
        restorer(image)
    torch.cuda.synchronize()
    if target.runtime == "tensorrt":  # it allocates without torch, once
        return free_before - torch.cuda.mem_get_info()[0]
    return torch.cuda.max_memory_allocated() - before


def main() -> None:
    """Print the peak of the target in the first argument: what `peak_mb` runs."""
    sys.stdout.write(f"{peak_bytes(Target.from_json(json.loads(sys.argv[1])))}\n")


if __name__ == "__main__":
    main()
