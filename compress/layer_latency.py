"""Milliseconds of single layers, so that the latency of a width plan is a sum and needs no compiling.

Each shape is timed once, by the kernel that the compiled network calls for it, as it calls it, and kept in a file of
the user's cache folder for this machine, its threads, versions and the code that times. What is between the layers
(element-wise work that is not fused, resizing, joining) goes by the elements that the layers put out, at the rate of
one timed addition.
"""

import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles
from typing import Any

import torch
from torch import Tensor, nn

from baseline.atomic import write_whole
from baseline.code_closure import code_sha256
from baseline.errors import UserError
from baseline.progress import console
from baseline.version import VERSION
from compress.machine import describe_machine
from compress.pricing import Layer, elements_price
from compress.pruning_settings import LatencyPlace
from compress.stopwatch import Stopwatch, stopwatch_for

_WARMUP, _CALLS = 3, 15
_CACHE_BYTES, _MOST_PICTURES = 2**22, 64
_OWN_SHARE = 0.7
"""The least share of its processors' time that a timing must have had to be kept."""


class LayerLatency:
    """A price of layers: their milliseconds at one place. Reads and fills the machine's table."""

    def __init__(self, place: LatencyPlace, folder: Path | None = None, stopwatch: Stopwatch | None = None) -> None:
        if place.device == "cuda" and not torch.cuda.is_available():
            raise UserError("latency.device must be there to be timed; there is no CUDA device. Take device cpu.")
        self.place = place
        self._watch = stopwatch or stopwatch_for(place.device)
        self._threads = place.threads or torch.get_num_threads()
        described = describe_machine() | {"threads": str(self._threads), "place": f"{place.device} {place.dtype}"}
        described |= {"lightsharp": VERSION, "code": code_sha256(__name__)}
        name = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
        self._path = (folder or cache_folder()) / "layer-latency" / f"{name}.json"
        self._table: dict[str, float] = self._read()
        self.timed = 0
        self._computing_s, self._waiting_s = 0.0, 0.0

    def __call__(self, layer: Layer, kept_in: int, kept_out: int) -> float:
        """Milliseconds of the layer at these widths, with what goes by its output's elements."""
        if kept_in < 1 or kept_out < 1:
            return 0.0
        between = elements_price(layer, kept_in, kept_out) * self._once(
            "one addition, ms an element", self._time_element
        )
        if not isinstance(layer.module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            return between
        own = self._once(_key(layer, kept_in, kept_out), lambda: self._time(layer, kept_in, kept_out))
        return between + layer.calls * own

    def save(self) -> None:
        """Keep what was timed for the next time, in a file that is whole or not there.

        What was timed while other programs took the processors is used, but not kept.
        """
        if self.timed == 0:
            return
        if self.place.device == "cpu" and self._computing_s < _OWN_SHARE * self._waiting_s * self._threads:
            told = f"the machine was busy: the times of {self.timed} layer shapes are used, but not kept"
            console.print(told, highlight=False, style="yellow")
            return
        write_whole(self._path, json.dumps(self._read() | self._table, indent=0, sort_keys=True))

    def _read(self) -> dict[str, float]:
        try:
            return {str(key): float(ms) for key, ms in json.loads(self._path.read_text()).items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError):
            console.print(f"{self._path} is damaged; layers are timed anew", highlight=False, markup=False)
            return {}

    def _once(self, key: str, timing: Callable[[], float]) -> float:
        if key not in self._table:
            self._table[key] = timing()
            self.timed += 1
        return self._table[key]

    def _time_element(self) -> float:
        one = torch.rand(1, 16, 256, 256, device=self.place.device, dtype=self._dtype())
        return self._typical_ms(lambda: one + 1) / one.numel()

    def _time(self, layer: Layer, kept_in: int, kept_out: int) -> float:
        if isinstance(layer.module, nn.Linear):
            linear = nn.Linear(kept_in, kept_out).to(self.place.device, self._dtype())
            tokens = torch.rand(1, layer.input_grid[0], kept_in).to(self.place.device, self._dtype())
            return self._typical_ms(lambda: linear(tokens))
        narrowed = _like(layer, kept_in, kept_out).to(self.place.device, self._dtype())
        return self._typical_ms(_call(narrowed, self._pictures(kept_in, *layer.input_grid)))

    def _pictures(self, *shape: int) -> Iterator[Tensor]:
        """Pictures in turn, so many that each has left the processor's own cache when it comes again."""
        one = torch.rand(1, *shape).to(self.place.device, self._dtype())
        count = min(_MOST_PICTURES, 1 + _CACHE_BYTES // (one.numel() * one.element_size()))
        copies = [one.clone(memory_format=torch.channels_last) for _ in range(count)]
        return itertools.cycle(copies)

    @torch.inference_mode()
    def _typical_ms(self, call: Callable[[], Tensor]) -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        computing, waiting = time.process_time(), time.perf_counter()
        try:
            times = [self._watch(call) for _ in range(_WARMUP + _CALLS)]
        finally:
            self._computing_s += time.process_time() - computing
            self._waiting_s += time.perf_counter() - waiting
            torch.set_num_threads(before)
        return quantiles(times[_WARMUP:], n=4)[0]

    def _dtype(self) -> torch.dtype:
        return {"fp32": torch.float32, "fp16": torch.float16}[self.place.dtype]


def cache_folder() -> Path:
    """Where what holds for this machine is kept: $XDG_CACHE_HOME/lightsharp, or ~/.cache/lightsharp."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightsharp"


def _key(layer: Layer, kept_in: int, kept_out: int) -> str:
    kernel = layer.module
    if isinstance(kernel, nn.Linear):
        return f"Linear {kept_in}->{kept_out} {layer.input_grid}"
    names = ("kernel_size", "stride", "padding", "output_padding", "dilation")
    options = (*(getattr(kernel, name) for name in names), _groups(layer, kept_in))
    return f"{type(kernel).__name__} {kept_in}->{kept_out} {layer.input_grid} {options} bias={kernel.bias is not None}"


def _groups(layer: Layer, kept_in: int) -> int:
    """The groups of the narrowed layer: a depthwise one has as many as channels."""
    return kept_in if layer.single else getattr(layer.module, "groups", 1)


def _like(layer: Layer, kept_in: int, kept_out: int) -> nn.Conv2d | nn.ConvTranspose2d:
    """A layer of the same kind with other widths."""
    own: Any = layer.module
    options: dict[str, Any] = {name: getattr(own, name) for name in ("kernel_size", "stride", "dilation")}
    options["padding"] = _padding(own)
    options |= {"groups": _groups(layer, kept_in), "bias": own.bias is not None}
    if isinstance(own, nn.ConvTranspose2d):
        options["output_padding"] = own.output_padding
        return nn.ConvTranspose2d(kept_in, kept_out, **options)
    return nn.Conv2d(kept_in, kept_out, **options)


def _padding(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[int, ...]:
    """The padding in pixels, where a layer says `same` or `valid`, too."""
    if not isinstance(layer.padding, str):
        return layer.padding
    same = layer.padding == "same"
    return tuple(d * (k - 1) // 2 if same else 0 for d, k in zip(layer.dilation, layer.kernel_size, strict=True))


def _call(layer: nn.Conv2d | nn.ConvTranspose2d, pictures: Iterator[Tensor]) -> Callable[[], Tensor]:
    """The layer as a compiled network runs it.

    On a CPU a file for any height and width lays out its weights in every call, and leaves transposed convolutions to
    ATen: layers that were timed with weights laid out in advance added up to too little, most so where they are narrow.
    """
    fast: nn.Module = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if layer.weight.device.type == "cuda" or isinstance(layer, nn.ConvTranspose2d):
        return lambda: fast(next(pictures))
    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
    geometry = (layer.padding, layer.stride, layer.dilation, layer.groups)
    return lambda: torch.ops.mkldnn._convolution_pointwise(next(pictures), weight, bias, *geometry, "none", [], "")
