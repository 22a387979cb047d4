"""ONNX Runtime: an `.onnx` file that runs on any CPU."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from baseline.errors import UserError
from baseline.restorer import sizes_from
from compress import onnx_file
from compress.half import in_fp32
from compress.runtimes.sessions import Run, SessionRestorer

_INTEGER = ("QLinearConv", "ConvInteger")
_FLOAT = ("Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose")


def unavailable(device: str) -> str | None:
    """It needs its package, and runs on CPUs here."""
    if device != "cpu":
        return ".onnx files run on CPUs here; use runtime tensorrt or inductor on CUDA"
    if importlib.util.find_spec("onnxruntime") is None:
        return "onnxruntime is not installed; type: pip install 'lightsharp[onnx]'"
    return onnx_file.missing()


def export(network: nn.Module, path: Path, size: tuple[int, int]) -> dict[str, str]:
    """Write an `.onnx` file, traced at height x width; the file takes any size that fits."""
    reason = unavailable("cpu")
    if reason:
        raise UserError(f"exporting to .onnx must have ONNX Runtime; {reason}.")
    # It has no convolutions in half precision on CPUs: it would cast before and after each.
    note = onnx_file.write_onnx(in_fp32(network), path, size)
    return note | {name: str(count) for name, count in census(path).items()}


def open_file(path: Path) -> SessionRestorer:
    """A restorer from an `.onnx` file of ours; a UserError if it is damaged or foreign."""
    stated = _session(path, 1).get_modelmeta().custom_metadata_map
    if "lightsharp.size_multiple" not in stated:
        raise _foreign(path)

    def start(threads: int) -> Run:
        session = _session(path, threads)

        def run(picture: np.ndarray) -> np.ndarray:
            restored: np.ndarray = session.run([onnx_file.OUTPUT], {onnx_file.INPUT: picture})[0]
            return restored

        return run

    return SessionRestorer(start, sizes_from(stated, "lightsharp."))


def census(path: Path) -> dict[str, int]:
    """How many convolutions are integer and how many float in the graph that ONNX Runtime really runs."""
    kinds = operators(path)
    return {
        "integer_convolutions": sum(kind in _INTEGER for kind in kinds),
        "float_convolutions": sum(kind in _FLOAT for kind in kinds),
    }


def operators(path: Path) -> list[str]:
    """The kind of every operator of the graph that runs."""
    import tempfile

    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as work:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = f"{work}/run.onnx"
        options.log_severity_level = 3
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]


def _session(path: Path, threads: int) -> Any:
    reason = unavailable("cpu")
    if reason:
        raise UserError(f"opening {path} must have ONNX Runtime; {reason}.")
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument, state.NotImplemented, state.Fail):
        raise _foreign(path) from None


def _foreign(path: Path) -> UserError:
    return UserError(
        f"{path} must be an .onnx that lightsharp wrote; it is damaged or foreign. Make it with lightsharp export."
    )
