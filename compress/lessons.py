"""What a teacher says of crops: computed without gradients, or read from a cache on disk where that is faster."""

import hashlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from baseline.atomic import DiskFullError, whole_file
from baseline.progress import console
from baseline.restorer import on_device, outputs_of
from compress.features import tapped

_SPARE_BYTES = 2e9
"""What a cache leaves free on its disk."""


_LEAST_HALF = 1e-3
"""Below it, half precision loses digits (it is subnormal below 6e-5)."""


@dataclass(frozen=True)
class Lesson:
    """The teacher's outputs from the coarsest scale to the finest, and the features of the layers asked for."""

    outputs: list[Tensor]
    features: list[Tensor]


class LessonCache:
    """Lessons of single crops on disk, in half precision, each under the checksum of its crop.

    `folder` belongs to one teacher, one choice of layers and all else that lessons depend on; up to `expected` crops
    will be asked for. Reading is timed against computing once both are known: where it is no faster, the cache is left.
    What it costs to write a lesson, once, is told but not judged. `not_kept` says why nothing more is kept, if that is
    so.
    """

    def __init__(self, folder: Path, expected: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.expected = expected
        self.read = self.computed = self.kept = 0
        self.read_seconds = self.computed_seconds = self.kept_seconds = 0.0
        self.slower = False
        self.not_kept = ""

    def find(self, crop: Tensor) -> list[Tensor] | None:
        """The tensors kept for a crop, 3,H,W; None if there are none, or if their file is damaged."""
        if self.slower:
            return None
        started = time.perf_counter()
        path = self._path(crop)
        try:
            kept = load_file(path)
            tensors = [kept[str(number)].to(crop.device).float() for number in range(len(kept))]
        except (OSError, SafetensorError, KeyError):
            return None
        _wait_for(crop.device)
        self.read += 1
        self.read_seconds += time.perf_counter() - started
        return tensors

    def keep(self, crops: Tensor, tensors: Sequence[Tensor], seconds: float) -> list[list[Tensor]]:
        """Keep what took so long to compute for N,3,H,W, a file a crop, which appears whole or not at all.

        Returns it crop by crop, rounded as it will be read: a lesson is the same computed and read, but for what other
        crops in the teacher's batch do to the last digit. Nothing more is kept once the disk does not take it.
        """
        self.computed += len(crops)
        self.computed_seconds += seconds
        compact = [[_compact(tensor[number]) for tensor in tensors] for number in range(len(crops))]
        if not (self.slower or self.not_kept):
            started = time.perf_counter()
            try:
                for crop, parts in zip(crops, compact, strict=True):
                    self._write(crop, parts)
            except (OSError, SafetensorError, DiskFullError) as error:
                self.not_kept = f"not all were kept: {error}"
            self.kept_seconds += time.perf_counter() - started
        return [[part.float() for part in parts] for parts in compact]

    def _write(self, crop: Tensor, parts: Sequence[Tensor]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < _SPARE_BYTES:
            self.not_kept = f"not all were kept: {_SPARE_BYTES / 1e9:.0f} GB of the disk stay free"
            return
        path = self._path(crop)
        with whole_file(path) as beside:
            save_file({str(number): part.cpu() for number, part in enumerate(parts)}, beside)
        if not self.kept and self.expected:
            megabytes = self.expected * path.stat().st_size / 1e6
            console.print(
                f"the teacher's lessons of {self.expected} crops are kept in {self.folder}: up to {megabytes:.0f} MB; "
                "delete them when you like",
                highlight=False,
                markup=False,
            )
        self.kept += 1

    def judge(self) -> None:
        """Stop reading if so far it took longer than computing."""
        if self.read and self.computed and not self.slower:
            self.slower = self.read_ms > self.computed_ms

    @property
    def read_ms(self) -> float:
        """Milliseconds to read a crop's lesson."""
        return 1000 * self.read_seconds / max(1, self.read)

    @property
    def computed_ms(self) -> float:
        """Milliseconds to compute it."""
        return 1000 * self.computed_seconds / max(1, self.computed)

    def __str__(self) -> str:
        """How often a crop's lesson was there, and what that was worth."""
        asked = self.read + self.computed
        said = f"the teacher's lessons: {self.read} of {asked} crops ({self.read / max(1, asked):.0%}) from the cache"
        if self.read:
            said += f", {self.read_ms:.1f} ms each"
        if self.computed:
            said += f"; computed in {self.computed_ms:.1f} ms each"
        if self.kept:
            said += f", written in {1000 * self.kept_seconds / self.kept:.1f} ms"
        if self.not_kept:
            said += f"; {self.not_kept}"
        return f"{said}; the cache was slower, and left" if self.slower else said

    def _path(self, crop: Tensor) -> Path:
        content = crop.detach().cpu().contiguous().numpy().tobytes()
        return self.folder / f"{hashlib.blake2b(content, digest_size=16).hexdigest()}.safetensors"


def _compact(tensor: Tensor) -> Tensor:
    """In half precision, unless its values are too large for that, or all too small."""
    half = tensor.half()
    fits = bool(half.isfinite().all()) and float(half.abs().amax()) >= _LEAST_HALF
    return (half if fits else tensor).contiguous()


def _wait_for(device: torch.device) -> None:
    """Until what a GPU was told is done, which a clock would otherwise not see."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Teacher:
    """A trained network that is asked what it makes of crops. It is never trained, and computes in FP16 on a GPU."""

    def __init__(self, network: nn.Module, layers: Sequence[str] = (), cache: LessonCache | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.layers = list(layers)
        self.cache = cache

    def __call__(self, blurred: Tensor) -> Lesson:
        """The lesson on N,3,H,W."""
        if self.cache is None:
            return self._lesson(self._computed(blurred))
        found = [self.cache.find(crop) for crop in blurred]
        missing = [number for number, tensors in enumerate(found) if tensors is None]
        if missing:
            asked = blurred[missing]
            started = time.perf_counter()
            computed = self._computed(asked)
            _wait_for(blurred.device)
            kept = self.cache.keep(asked, computed, time.perf_counter() - started)
            for number, tensors in zip(missing, kept, strict=True):
                found[number] = tensors
        self.cache.judge()
        whole = [tensors for tensors in found if tensors is not None]
        return self._lesson([torch.stack(parts) for parts in zip(*whole, strict=True)])

    def report(self) -> dict[str, Any]:
        """What is kept of the cache for the record; it is also said to whoever watches."""
        if self.cache is None:
            return {}
        console.print(str(self.cache), highlight=False, markup=False)
        return {"lessons": str(self.cache)}

    def _computed(self, blurred: Tensor) -> list[Tensor]:
        """Outputs and then features, in FP32."""
        on_device(self.network, blurred.device)
        half = blurred.device.type == "cuda"
        with (
            torch.no_grad(),
            torch.autocast(blurred.device.type, torch.float16, enabled=half),
            tapped(self.network, self.layers) as kept,
        ):
            outputs = outputs_of(self.network, blurred.contiguous(memory_format=torch.channels_last))
        return [tensor.float() for tensor in (*outputs, *(kept[name] for name in self.layers))]

    def _lesson(self, tensors: list[Tensor]) -> Lesson:
        count = len(tensors) - len(self.layers)
        return Lesson(tensors[:count], tensors[count:])
