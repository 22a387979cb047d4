"""TensorRT: an engine for one kind of GPU, built from ONNX; its precision is the network's own.

An `.engine` of ours is a note on what it was built for, as JSON, and the serialized engine after it. Loading one runs
the code in it: open only files whose source you trust.
"""

import importlib
import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from baseline.atomic import write_whole
from baseline.errors import UserError
from baseline.restorer import in_batches, min_size_of, size_multiple_of, stated_sizes
from compress import onnx_file

_MAGIC = b"lightsharp engine 1\n"
_LENGTH_BYTES = 8
_NOTE_KEYS = ("size_multiple", "tensorrt", "gpu", "compute_capability", "tf32", "smallest", "fastest_at", "largest")
_LARGEST = (2160, 3840)
_DEVICE = "cuda"


def unavailable(device: str) -> str | None:
    """It needs an NVIDIA GPU, its own package, and those for ONNX, through which networks reach it."""
    if device != "cuda":
        return "TensorRT runs on NVIDIA GPUs; use runtime aoti, onnxruntime or openvino on CPUs"
    if not torch.cuda.is_available():
        return "no CUDA device here"
    if importlib.util.find_spec("tensorrt") is None:
        return "tensorrt is not installed; type: pip install 'lightsharp[tensorrt]'"
    return onnx_file.missing()


def export(network: nn.Module, path: Path, size: tuple[int, int]) -> dict[str, str]:
    """Build an engine that is fastest at height x width and takes other sizes up to 2160x3840, too."""
    reason = unavailable("cuda")
    if reason:
        raise UserError(f"exporting an engine must have TensorRT; {reason}.")
    least = min_size_of(network)
    sides = (least, least), size, _largest(size, size_multiple_of(network))
    with tempfile.TemporaryDirectory() as work:
        onnx_path = Path(work) / "network.onnx"
        onnx_file.write_onnx(network.cpu(), onnx_path, size)
        engine = _build(onnx_path, sides)
    smallest, fastest_at, largest = (f"{height}x{width}" for height, width in sides)
    tf32 = "on" if torch.backends.cudnn.allow_tf32 else "off"
    profile = {"tf32": tf32, "smallest": smallest, "fastest_at": fastest_at, "largest": largest}
    note = {**stated_sizes(network), **_here(), **profile}
    _write(path, note, engine)
    return note


class EngineRestorer:
    """An opened `.engine`: batches go through it picture by picture, on the GPU."""

    fixed_size: tuple[int, int] | None = None
    max_batch: int | None = 1

    def __init__(self, path: Path) -> None:
        note = read_note(path)
        reason = unavailable("cuda")
        if reason:
            raise UserError(f"opening {path} must have TensorRT; {reason}.")
        refuse_other_gpu(path, note)
        self.size_multiple, self.min_size = int(note["size_multiple"]), _sides(note["smallest"])[0]
        self._sides = _sides(note["smallest"]), _sides(note["largest"])
        trt = _tensorrt()
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        engine = self._runtime.deserialize_cuda_engine(_engine_bytes(path))
        context: Any = None if engine is None else engine.create_execution_context()
        if context is None:
            raise UserError(
                f"{path} must be a whole engine that fits this GPU's memory; TensorRT refused it. {_REBUILD}"
            )
        self._engine, self._context = engine, context
        # On torch's default stream TensorRT would wait for the GPU in every call.
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def __call__(self, blurred: Tensor) -> Tensor:
        smallest, largest = self._sides
        size = (blurred.shape[-2], blurred.shape[-1])
        if not all(low <= side <= high for low, side, high in zip(smallest, size, largest, strict=True)):
            raise UserError(
                f"the picture must be from {smallest[0]}x{smallest[1]} to {largest[0]}x{largest[1]} for this engine; "
                f"got {size[0]}x{size[1]}. Export an engine at this size."
            )
        return in_batches(self._restored, blurred.to(_DEVICE), self.max_batch)

    def _restored(self, picture: Tensor) -> Tensor:
        picture = picture.float().contiguous()
        self._context.set_input_shape(onnx_file.INPUT, tuple(picture.shape))
        restored = torch.empty(tuple(self._context.get_tensor_shape(onnx_file.OUTPUT)), device=_DEVICE)
        self._context.set_tensor_address(onnx_file.INPUT, picture.data_ptr())
        self._context.set_tensor_address(onnx_file.OUTPUT, restored.data_ptr())
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise RuntimeError("TensorRT did not run the engine")
        current.wait_stream(self._stream)
        return restored


_REBUILD = "Rebuild it on this machine: lightsharp export ARTIFACT --to engine."


def open_file(path: Path) -> EngineRestorer:
    """A restorer from an `.engine` of ours; a UserError if it was built for another GPU or TensorRT."""
    return EngineRestorer(path)


def read_note(path: Path) -> dict[str, str]:
    """What an engine was built for, read without running anything in it; a UserError if it is not one of ours."""
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise KeyError("magic")
            note = json.loads(file.read(_note_length(file.read(_LENGTH_BYTES), path)))
        return {key: str(note[key]) for key in _NOTE_KEYS}
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{path} must be an .engine that lightsharp wrote; it is damaged or foreign. "
            "Make it with lightsharp export --to engine."
        ) from None


def refuse_other_gpu(path: Path, note: dict[str, str]) -> None:
    """A UserError if the engine was built for another GPU or another TensorRT."""
    for key, what in (("gpu", "GPU"), ("compute_capability", "compute capability"), ("tensorrt", "TensorRT")):
        here = _here()[key]
        if note[key] != here:
            raise UserError(f"{path} must be built for the {what} here, {here}; it is for {note[key]}. {_REBUILD}")


def _tensorrt() -> Any:
    return importlib.import_module("tensorrt")


def _here() -> dict[str, str]:
    major, minor = torch.cuda.get_device_capability()
    return {
        "tensorrt": str(_tensorrt().__version__),
        "gpu": torch.cuda.get_device_name(),
        "compute_capability": f"{major}.{minor}",
    }


def _largest(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The largest height and width that an engine takes: at least the ones that it is built for."""
    height, width = (max(asked, limit // multiple * multiple) for asked, limit in zip(size, _LARGEST, strict=True))
    return height, width


def _build(onnx_path: Path, sides: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]) -> bytes:
    """The serialized engine. Types are those of the ONNX file: FP16, or INT8 by its quantize and dequantize nodes."""
    trt = _tensorrt()
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, builder.logger)
    if not parser.parse_from_file(str(onnx_path)):
        said = "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors))
        raise UserError(f"TensorRT must know every operator of the network; it says: {said or 'nothing'}.")
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.DISABLE_TIMING_CACHE)
    if not torch.backends.cudnn.allow_tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    profile.set_shape(onnx_file.INPUT, *((1, 3, height, width) for height, width in sides))
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise UserError(
            "TensorRT must find a kernel for every operator; it found none for some. Try another precision."
        )
    return bytes(engine)


def _write(path: Path, note: dict[str, str], engine: bytes) -> None:
    stated = json.dumps(note).encode()
    write_whole(path, _MAGIC + len(stated).to_bytes(_LENGTH_BYTES, "little") + stated + engine)


def _note_length(stated: bytes, path: Path) -> int:
    """How many bytes the note has; a ValueError if the file has fewer."""
    length = int.from_bytes(stated, "little")
    if length > path.stat().st_size:
        raise ValueError(length)
    return length


def _engine_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    start = len(_MAGIC) + _LENGTH_BYTES
    return content[start + _note_length(content[len(_MAGIC) : start], path) :]


def _sides(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width)
