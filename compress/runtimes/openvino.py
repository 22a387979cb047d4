"""OpenVINO: an `.xml` file with its weights in a `.bin` beside it, for Intel CPUs and others."""

import functools
import importlib.util
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from baseline.atomic import room_for
from baseline.checksum import file_sha256
from baseline.errors import UserError
from baseline.restorer import sizes_from
from compress import onnx_file
from compress.runtimes.sessions import Run, SessionRestorer

_NOTE = "lightsharp"
_WEIGHTS = "weights_sha256"


def unavailable(device: str) -> str | None:
    """It needs its package and those for ONNX, through which networks reach it; here it runs on CPUs."""
    if device != "cpu":
        return "OpenVINO runs on CPUs here; use runtime tensorrt or inductor on CUDA"
    if importlib.util.find_spec("openvino") is None:
        return "openvino is not installed; type: pip install 'lightsharp[openvino]'"
    return onnx_file.missing()


def export(network: nn.Module, path: Path, size: tuple[int, int]) -> dict[str, str]:
    """Write an `.xml` and a `.bin`, traced at height x width; the network takes any size that fits."""
    reason = unavailable("cpu")
    if reason:
        raise UserError(f"exporting for OpenVINO must have it; {reason}.")
    import openvino

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        work = Path(folder)
        note = onnx_file.write_onnx(network, work / "network.onnx", size) | {"openvino": openvino.__version__}
        model = _converted(work / "network.onnx")
        for key, value in note.items():
            model.set_rt_info(value, [_NOTE, key])
        # Weights keep the precision that the quantize stage gave them. Saved again with their checksum in the note.
        with room_for(path, (work / "network.onnx").stat().st_size):
            openvino.save_model(model, work / path.name, compress_to_fp16=False)
            model.set_rt_info(file_sha256((work / path.name).with_suffix(".bin")), [_NOTE, _WEIGHTS])
            openvino.save_model(model, work / path.name, compress_to_fp16=False)
        (work / path.name).with_suffix(".bin").replace(path.with_suffix(".bin"))
        (work / path.name).replace(path)
    return note | {name: str(count) for name, count in census(path).items()}


def _converted(onnx_path: Path) -> Any:
    """OpenVINO's own form of an ONNX file; a UserError that names the operators that it does not take."""
    try:
        return _core().read_model(onnx_path)
    except RuntimeError as error:
        said = str(error)
        names = dict.fromkeys(re.findall(r"^-- (\S+) with a message", said, re.MULTILINE))
        if not names:
            raise
        nodes = ", ".join(dict.fromkeys(re.findall(r"<Node\(\w+\): (\w+)>", said)))
        detail = said.partition("Summary:")[0].strip().splitlines()[-1].rstrip(".")
        raise UserError(
            f"OpenVINO must take every operator of the network; it does not take {', '.join(names)}"
            f"{f' ({nodes})' if nodes else ''}: {detail[:200]}. Take another runtime."
        ) from error


def open_file(path: Path) -> SessionRestorer:
    """A restorer from an `.xml` file of ours and its `.bin`; a UserError if they are damaged or foreign."""
    model = _read(path)
    if not model.has_rt_info([_NOTE, "size_multiple"]) or not model.has_rt_info([_NOTE, _WEIGHTS]):
        raise _foreign(path)
    if model.get_rt_info([_NOTE, _WEIGHTS]).astype(str) != file_sha256(path.with_suffix(".bin")):
        raise _foreign(path)

    def start(threads: int) -> Run:
        return _Session(_compiled(model, threads))

    keys = [key for key in ("size_multiple", "min_size") if model.has_rt_info([_NOTE, key])]
    return SessionRestorer(start, sizes_from({key: model.get_rt_info([_NOTE, key]).astype(str) for key in keys}))


class _Session:
    """A compiled model; between calls it holds the memory of the largest picture."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._largest = 0

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        if picture.size > self._largest:
            # The memory of the largest one until now would be held beside that of this one.
            self.release()
            self._largest = picture.size
        restored: np.ndarray = self._compiled(picture)[0]
        return restored

    def release(self) -> None:
        """Give back the memory that is held."""
        self._largest = 0
        self._compiled.release_memory()


def census(path: Path) -> dict[str, int]:
    """How many convolutions are integer and how many float in the graph that OpenVINO really runs."""
    precisions = [precision for kind, precision in operators(path) if kind in _CONVOLUTIONS]
    integer = sum(precision in ("i8", "u8") for precision in precisions)
    return {"integer_convolutions": integer, "float_convolutions": len(precisions) - integer}


_CONVOLUTIONS = ("Convolution", "Deconvolution")


def operators(path: Path) -> list[tuple[str, str]]:
    """Every operator of the graph that runs: its kind, and the precision that it computes in."""
    found = []
    for node in _compiled(_read(path), 1).get_runtime_model().get_ordered_ops():
        info = node.get_rt_info()
        found.append((info["layerType"].astype(str), info["runtimePrecision"].astype(str)))
    return found


@functools.cache
def _core() -> Any:
    """OpenVINO's core, one a process.

    Its CPU plugin has its own stack for signals, and puts the one before it back when it goes. Of several plugins that
    go in another order than they came, the last leaves a stack that is gone, and the next signal crashes the process.
    """
    import openvino

    return openvino.Core()


def _read(path: Path) -> Any:
    reason = unavailable("cpu")
    if reason:
        raise UserError(f"opening {path} must have OpenVINO; {reason}.")
    if not path.with_suffix(".bin").is_file():
        raise UserError(f"{path} must have {path.with_suffix('.bin').name} beside it; there is none. Copy both files.")
    try:
        return _core().read_model(path)
    except RuntimeError:
        raise _foreign(path) from None


def _compiled(model: Any, threads: int) -> Any:
    # Unasked, it computes FP32 files in BF16 wherever the CPU can: off by 0.01. BF16 files stay BF16.
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    return _core().compile_model(model, "CPU", settings)


def _foreign(path: Path) -> UserError:
    return UserError(
        f"{path} must be an OpenVINO file that lightsharp wrote; it is damaged or foreign. "
        "Make it with lightsharp export."
    )
