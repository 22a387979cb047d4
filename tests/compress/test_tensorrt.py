"""TensorRT without TensorRT and without a GPU: a stand-in for its module writes down what it was told."""

import ctypes
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from baseline.errors import UserError
from compress.runtimes import tensorrt

Log = list[tuple[object, ...]]
NOTE = {
    "size_multiple": "4",
    "tensorrt": "10.13.3",
    "gpu": "NVIDIA T",
    "compute_capability": "8.9",
    "tf32": "on",
    "smallest": "8x8",
    "fastest_at": "64x96",
    "largest": "2160x3840",
}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """What a stand-in for TensorRT 10 and for the GPU was told, in order; its engine adds 1 to every value."""
    log: Log = []

    class Context:
        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
            self.shape = shape
            log.append(("shape", name, shape))

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return self.shape

        def set_tensor_address(self, name: str, address: int) -> None:
            setattr(self, name, address)

        def execute_async_v3(self, stream: int) -> bool:
            log.append(("executed", stream))
            count = torch.Size(self.shape).numel()
            given, wanted = ((ctypes.c_float * count).from_address(at) for at in (self.blurred, self.restored))
            wanted[:] = [value + 1 for value in given]
            return True

    def deserialize(engine: bytes) -> object:
        return SimpleNamespace(create_execution_context=Context) if engine == b"engine" else None

    def build(network: int, config: object) -> bytes:
        log.append(("built", network))
        return b"engine"

    builder = SimpleNamespace(
        logger="logger",
        create_network=lambda flags: flags,
        create_builder_config=lambda: SimpleNamespace(
            set_flag=lambda flag: log.append(("set", flag)),
            clear_flag=lambda flag: log.append(("cleared", flag)),
            add_optimization_profile=lambda profile: log.append(("profile added",)),
        ),
        create_optimization_profile=lambda: SimpleNamespace(set_shape=lambda *told: log.append(told)),
        build_serialized_network=build,
    )
    parser = SimpleNamespace(
        parse_from_file=lambda path: Path(path).read_text() == "onnx",
        num_errors=1,
        get_error=lambda number: SimpleNamespace(desc=lambda: "zero points must be zero"),
    )
    logger = type("Logger", (), {"ERROR": 0, "__init__": lambda self, level: None})
    module = SimpleNamespace(
        __version__="10.13.3",
        __spec__=True,
        Logger=logger,
        Builder=lambda logger: builder,
        OnnxParser=lambda network, logger: parser,
        Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=deserialize),
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        BuilderFlag=SimpleNamespace(DISABLE_TIMING_CACHE="no timing cache", TF32="tf32"),
    )
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(tensorrt, "_DEVICE", "cpu")
    monkeypatch.setattr(tensorrt.onnx_file, "missing", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA T")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 9))
    current = SimpleNamespace(wait_stream=lambda other: log.append(("current waits for", other.cuda_stream)))
    own = SimpleNamespace(cuda_stream=7, wait_stream=lambda other: log.append(("own waits", other is current)))
    monkeypatch.setattr(torch.cuda, "Stream", lambda: own)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: current)
    return log


def _onnx(monkeypatch: pytest.MonkeyPatch, content: str = "onnx") -> None:
    monkeypatch.setattr(
        tensorrt.onnx_file, "write_onnx", lambda network, path, size: path.write_text(content) and {"opset": "20"}
    )


def _engine(path: Path, **changed: str) -> Path:
    tensorrt._write(path, NOTE | changed, b"engine")
    return path


@pytest.mark.parametrize("tf32", [True, False])
def test_an_engine_is_built_from_the_types_of_the_graph(
    log: Log, tmp_path: Path, tiny: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch, tf32: bool
) -> None:
    _onnx(monkeypatch)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", tf32)
    note = tensorrt.export(tiny(), tmp_path / "n.engine", (64, 96))
    # From twice the network's multiple of 4 to 2160x3840, fastest at the size that was asked for.
    shapes = (1, 3, 8, 8), (1, 3, 64, 96), (1, 3, 2160, 3840)
    rest: Log = [("blurred", *shapes), ("profile added",), ("built", 1 << 1)]
    assert log == [("set", "no timing cache"), *([] if tf32 else [("cleared", "tf32")]), *rest]
    assert note == NOTE | {"min_size": "8", "tf32": "on" if tf32 else "off"}
    # What stands in the file is readable without TensorRT: a magic line, eight bytes of length, JSON, the engine.
    magic, _, content = (tmp_path / "n.engine").read_bytes().partition(b"\n")
    length = int.from_bytes(content[:8], "little")
    assert (magic, json.loads(content[8 : 8 + length]), content[8 + length :]) == (
        b"lightsharp engine 1",
        note,
        b"engine",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["n.engine"]


def test_sizes_beyond_the_usual_limit_raise_it_and_limits_are_multiples() -> None:
    assert tensorrt._largest((256, 256), 32) == (2144, 3840)
    assert tensorrt._largest((4320, 256), 4) == (4320, 3840)


def test_what_the_parser_refuses_is_said(
    log: Log, tmp_path: Path, tiny: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    _onnx(monkeypatch, "asymmetric")
    with pytest.raises(UserError, match="it says: zero points must be zero"):
        tensorrt.export(tiny(), tmp_path / "n.engine", (64, 64))
    assert not list(tmp_path.iterdir())


def test_an_opened_engine_runs_each_picture_on_its_own_stream_between_waits(log: Log, tmp_path: Path) -> None:
    restorer = tensorrt.open_file(_engine(tmp_path / "n.engine"))
    assert restorer.size_multiple == 4
    # A channels-last batch: the engine must see contiguous pictures.
    blurred: Tensor = torch.rand(2, 3, 8, 12).contiguous(memory_format=torch.channels_last)
    assert torch.equal(restorer(blurred), blurred + 1)
    once: Log = [("shape", "blurred", (1, 3, 8, 12)), ("own waits", True), ("executed", 7), ("current waits for", 7)]
    assert log == once + once


@pytest.mark.parametrize("size", [(4, 8), (8, 3844)])
def test_a_picture_outside_the_profile_is_refused(log: Log, tmp_path: Path, size: tuple[int, int]) -> None:
    restorer = tensorrt.open_file(_engine(tmp_path / "n.engine"))
    with pytest.raises(UserError, match=f"from 8x8 to 2160x3840 for this engine; got {size[0]}x{size[1]}"):
        restorer(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"gpu": "NVIDIA U"},
            "the GPU here, NVIDIA T; it is for NVIDIA U. Rebuild it on this machine: lightsharp export",
        ),
        ({"compute_capability": "9.0"}, "the compute capability here, 8.9; it is for 9.0. Rebuild it"),
        ({"tensorrt": "11.4.0"}, "the TensorRT here, 10.13.3; it is for 11.4.0. Rebuild it"),
    ],
)
def test_an_engine_for_another_machine_is_refused(log: Log, tmp_path: Path, changed: dict[str, str], said: str) -> None:
    path = _engine(tmp_path / "n.engine", **changed)
    with pytest.raises(UserError, match=said):
        tensorrt.open_file(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a plain engine",
        b"lightsharp engine 1\n" + (1 << 62).to_bytes(8, "little") + b"{}",
        b"lightsharp engine 1\n" + (2).to_bytes(8, "little") + b"{}engine",
        b"lightsharp engine 1\n" + (2).to_bytes(8, "little") + b"\xff{engine",
    ],
)
def test_foreign_and_damaged_files_are_refused_before_anything_runs(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "n.engine").write_bytes(content)
    with pytest.raises(UserError, match=r"must be an \.engine that lightsharp wrote; it is damaged or foreign"):
        tensorrt.open_file(tmp_path / "n.engine")


def test_a_truncated_engine_is_refused(log: Log, tmp_path: Path) -> None:
    path = _engine(tmp_path / "n.engine")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"TensorRT refused it\. Rebuild it"):
        tensorrt.open_file(path)


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "NVIDIA GPUs" in str(tensorrt.unavailable("cpu"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert tensorrt.unavailable("cuda") == "no CUDA device here"
    with pytest.raises(UserError, match=r"must have TensorRT; no CUDA device here\."):
        tensorrt.open_file(_engine(tmp_path / "n.engine"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(tensorrt.importlib.util, "find_spec", lambda name: None)
    assert tensorrt.unavailable("cuda") == "tensorrt is not installed; type: pip install 'lightsharp[tensorrt]'"
