"""Peak memory: each subject in a process of its own, over what Python and torch take there without it."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from baseline import resident
from baseline.errors import UserError
from baseline.restorer import Restorer
from compress.latency import LatencySettings, picture_for, threads_set
from compress.quantize import open_artifact
from compress.runtimes import inductor
from compress.runtimes.table import memory_runtime, open_deployable


@dataclass(frozen=True)
class Loadable:
    """An artifact's folder or a deployable's file with how to run it: what any process can open again."""

    path: str
    runtime: str
    device: str
    cuda_graphs: bool = False

    def open(self) -> Restorer:
        """A restorer; a UserError if it does not run here."""
        if Path(self.path).is_file():
            return open_deployable(Path(self.path))
        network = open_artifact(Path(self.path))
        if self.runtime == "inductor":
            return inductor.wrap(network, self.device, self.cuda_graphs)
        return memory_runtime(self.runtime).wrap(network, self.device)


def peak_mb(subject: Loadable, settings: LatencySettings) -> float:
    """Megabytes (10^6 bytes) that restoring takes at its height, weights included; a UserError if none can be read."""
    if subject.device == "cpu" and not resident.known():
        raise UserError("peak memory on a CPU must be read from Linux's /proc; there is none here.")
    asked = json.dumps({"subject": asdict(subject), "settings": asdict(settings)})
    done = subprocess.run([sys.executable, "-m", "compress.memory", asked], capture_output=True, text=True)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise UserError(f"a process of its own must run it; it ended with {done.returncode}: {said}")
    return int(done.stdout.split()[-1]) / 1e6


def peak_bytes(subject: Loadable, settings: LatencySettings) -> int:
    """What opening and calling a subject takes in this process at its height."""
    with threads_set(settings.threads):
        return _peak_on_cuda(subject, settings) if subject.device == "cuda" else _peak_on_cpu(subject, settings)


def _peak_on_cpu(subject: Loadable, settings: LatencySettings) -> int:
    picture = picture_for(settings, "cpu")
    before = resident.resident_bytes()
    restorer = subject.open()
    restorer(picture)
    resident.forget_peak()  # what compiling took at its height is no part of restoring
    restorer(picture)
    return resident.peak_bytes() - before


def _peak_on_cuda(subject: Loadable, settings: LatencySettings) -> int:
    picture = picture_for(settings, "cuda")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before, free_before = torch.cuda.memory_allocated(), torch.cuda.mem_get_info()[0]
    restorer = subject.open()
    for _ in range(settings.warmup + 1):  # a CUDA graph is recorded in the second call
        restorer(picture)
    torch.cuda.synchronize()
    if subject.runtime == "tensorrt":  # it allocates without torch, once
        return free_before - torch.cuda.mem_get_info()[0]
    return torch.cuda.max_memory_allocated() - before


def main() -> None:
    """Print the peak of the subject in the first argument: what `peak_mb` runs."""
    asked = json.loads(sys.argv[1])
    settings = asked["settings"] | {"size": tuple(asked["settings"]["size"])}
    sys.stdout.write(f"{peak_bytes(Loadable(**asked['subject']), LatencySettings(**settings))}\n")


if __name__ == "__main__":
    main()
