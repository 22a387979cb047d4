"""Runtimes by name: what executes a network. Listing them does not import torch: each has a module of its own."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from baseline.errors import UserError, unknown_name
from baseline.registry import Registry

if TYPE_CHECKING:
    from torch import nn

    from baseline.restorer import Restorer


@dataclass(frozen=True)
class RuntimeEntry:
    """A runtime's module, the suffix of its deployables (None: it runs networks in memory), and its devices.

    `beside` are the suffixes of the files that must lie beside a deployable, `packages` what makes its files. A file of
    `one_size` takes images of the height and width only that it was exported for.
    """

    module: str
    suffix: str | None
    about: str
    devices: tuple[str, ...] = ("cpu", "cuda")
    beside: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    one_size: bool = False


class FileRuntime(Protocol):
    """What the module of a runtime with files offers."""

    def unavailable(self, device: str) -> str | None:
        """Why files cannot be made for a device here, and what to type; None if they can."""

    def export(self, network: nn.Module, path: Path, size: tuple[int, int]) -> dict[str, str]:
        """Write a deployable of a network from `compress.quantize.open_artifact`; returns what it was built for."""

    def open_file(self, path: Path) -> Restorer:
        """A restorer from a deployable; a UserError if it does not run here."""


class MemoryRuntime(Protocol):
    """What the module of a runtime without files offers."""

    def unavailable(self, device: str) -> str | None:
        """Why networks cannot be run on a device here, and what to type; None if they can."""

    def wrap(self, network: nn.Module, device: str) -> Restorer:
        """A restorer from a network in memory."""


RUNTIMES: Registry[RuntimeEntry] = Registry("runtime")
RUNTIMES.register("aoti")(
    RuntimeEntry(
        "compress.runtimes.aoti", ".pt2", "AOTInductor: a compiled file for CPUs, any height and width", ("cpu",)
    )
)
RUNTIMES.register("eager")(RuntimeEntry("compress.runtimes.eager", None, "PyTorch as it is written; no file"))
RUNTIMES.register("executorch")(
    RuntimeEntry(
        "compress.runtimes.executorch",
        ".pte",
        "ExecuTorch with XNNPACK: a file for phones and other CPUs",
        ("cpu",),
        packages=("executorch",),
        one_size=True,
    )
)
RUNTIMES.register("inductor")(
    RuntimeEntry("compress.runtimes.inductor", None, "torch.compile, with CUDA graphs on a GPU; no file")
)
RUNTIMES.register("onnxruntime")(
    RuntimeEntry(
        "compress.runtimes.onnxruntime",
        ".onnx",
        "ONNX Runtime: a file for any CPU, any height and width",
        ("cpu",),
        packages=("onnx", "onnxscript", "onnxruntime"),
    )
)
RUNTIMES.register("openvino")(
    RuntimeEntry(
        "compress.runtimes.openvino",
        ".xml",
        "OpenVINO: two files (.xml, .bin) for Intel and other CPUs, any height and width",
        ("cpu",),
        (".bin",),
        ("onnx", "onnxscript", "openvino"),
    )
)
RUNTIMES.register("tensorrt")(
    RuntimeEntry(
        "compress.runtimes.tensorrt",
        ".engine",
        "TensorRT: an engine for the NVIDIA GPU here",
        ("cuda",),
        packages=("onnx", "onnxscript", "tensorrt"),
    )
)

ALWAYS: dict[str, tuple[str, ...]] = {"cpu": (), "cuda": ("inductor",)}
"""The runtimes without files that `auto` times, too: on CUDA, torch.compile is the fast one that is always there."""


def files_of(path: Path) -> list[Path]:
    """The files of one deployable: the one that is named, and those that must lie beside it."""
    return [path, *(path.with_suffix(suffix) for suffix in RUNTIMES[runtime_of(path.suffix)].beside)]


def size_mb(path: Path) -> float:
    """Megabytes of all files of a deployable."""
    return sum(file.stat().st_size for file in files_of(path)) / 1e6


def check_file_runtime(name: str) -> None:
    """A UserError if the runtime is unknown or has no files."""
    if RUNTIMES[name].suffix is None:
        kinds = [n for n in RUNTIMES if RUNTIMES[n].suffix]
        raise UserError(f"runtime '{name}' must be one that has files; it has none. Choose: {', '.join(kinds)}.")


def device_of_files(name: str) -> str:
    """The device, cpu or cuda, that the files of a runtime run on."""
    check_file_runtime(name)
    return RUNTIMES[name].devices[0]


def file_runtime(name: str) -> FileRuntime:
    """The module of a runtime with files; a UserError for any other."""
    check_file_runtime(name)
    return cast(FileRuntime, importlib.import_module(RUNTIMES[name].module))


def memory_runtime(name: str) -> MemoryRuntime:
    """The module of a runtime without files; a UserError for one that has them."""
    if RUNTIMES[name].suffix is not None:
        there = " or ".join(each for each in RUNTIMES if RUNTIMES[each].suffix is None)
        raise UserError(
            f"the runtime of a network in memory must be {there}; got {name}, which runs files. Make one "
            "with lightsharp export, and give that as the network."
        )
    return cast(MemoryRuntime, importlib.import_module(RUNTIMES[name].module))


def runtime_of(suffix: str) -> str:
    """The name of the runtime whose deployables have a suffix such as `.pt2`; a UserError if there is none."""
    by_suffix = {str(RUNTIMES[name].suffix): name for name in RUNTIMES if RUNTIMES[name].suffix}
    if suffix not in by_suffix:
        raise unknown_name("kind of deployable", suffix, by_suffix)
    return by_suffix[suffix]


def open_deployable(path: Path) -> Restorer:
    """A restorer from a deployable's file. Opening one with compiled code (.pt2) runs that code: trust its source."""
    if not path.is_file():
        raise UserError(f"{path} must be a deployable's file; there is none. Make it with lightsharp export.")
    return file_runtime(runtime_of(path.suffix)).open_file(path)
