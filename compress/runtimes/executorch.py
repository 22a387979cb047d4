"""ExecuTorch with XNNPACK: one `.pte` file of operators and weights, without native code, for phones and other CPUs.

A file takes pictures of one size. XNNPACK would take any up to a limit, but sets itself up for the limit: a network of
width 8 took 8.6 GB and 0.24 s a picture of 64x64 with a limit of 4096 pixels a side, and 0.01 s with one of 512.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from baseline.atomic import write_whole
from baseline.errors import UserError
from baseline.restorer import in_batches, sizes_from, stated_sizes
from compress import xnnpack_graph
from compress.graph import deployed_graph
from compress.half import half_weights_of, in_fp32
from compress.rewriting import left_out_note, small_photographs

_NOTE = "lightsharp"
_NOTE_KEYS = ("size_multiple", "fixed_size", "executorch", "torch")
_CONVOLUTIONS = ("XNNConv2d", "XNNDepthwiseConv2d", "XNNConvTranspose2d")
_INTEGER = ("xnn_datatype_qcint8", "xnn_datatype_qint8")


def unavailable(device: str) -> str | None:
    """It needs its package, and runs on CPUs."""
    if device != "cpu":
        return ".pte files run on CPUs; use runtime tensorrt or inductor on CUDA"
    if importlib.util.find_spec("executorch") is None:
        return "executorch is not installed; type: pip install 'lightsharp[executorch]'"
    return None


def export(network: nn.Module, path: Path, size: tuple[int, int]) -> dict[str, str]:
    """Lower for XNNPACK at height x width, the only size that the file takes; returns its note with a census."""
    reason = unavailable("cpu")
    if reason:
        raise UserError(f"exporting to .pte must have ExecuTorch; {reason}.")
    half = half_weights_of(in_fp32(network))
    if half is not None:
        raise UserError(
            f".pte files must hold FP32 or INT8 networks; got {str(half).removeprefix('torch.')}. XNNPACK keeps "
            "weights in what it computes in, and that is half precision on some CPUs only. Export the float or INT8 "
            "artifact."
        )
    example = torch.zeros(1, 3, *size)
    graph = deployed_graph(network, example)
    prepared = xnnpack_graph.prepare(graph, small_photographs(network))
    note = {**stated_sizes(network), "fixed_size": f"{size[0]}x{size[1]}", **_versions()}
    lowered = _lower(prepared.graph, example, note)
    counts = census(lowered)
    counts["integer_convolutions"] -= prepared.integer
    counts["float_convolutions"] -= prepared.float
    counts["resizes_as_convolutions"] = prepared.integer + prepared.float
    program = _program(lowered)
    write_whole(path, program + _checksum(program))
    return note | {name: str(count) for name, count in counts.items()} | left_out_note(prepared.left_out)


def census(lowered: Any) -> dict[str, int]:
    """How many convolutions are integer and how many float in what XNNPACK is given, and what is left to ExecuTorch.

    Read from the lowered program. Resizes that were made convolutions count as such.
    """
    counted: Counter[str] = Counter()
    for graph in _xnnpack_graphs(lowered):
        types = {}
        for value in graph["xvalues"]:
            tensor = value["xvalue_union"].get("tensor_value", value["xvalue_union"])
            types[tensor["id_out"]] = tensor["datatype"]
        for node in graph["xnodes"]:
            if node["xnode_union_type"].lstrip("_") in _CONVOLUTIONS:
                ends = node["xnode_union"]
                whole = types[ends["filter_id"]] in _INTEGER and "fp" not in types[ends["input1_id"]]
                counted["integer" if whole else "float"] += 1
    return {
        "integer_convolutions": counted["integer"],
        "float_convolutions": counted["float"],
        "operators_outside_xnnpack": sum(_outside(lowered).values()),
    }


class ExecutorchRestorer:
    """An opened `.pte`: pictures go through it one by one, on as many threads as torch has at that moment."""

    max_batch: int | None = 1

    def __init__(self, path: Path) -> None:
        self._path = path
        self._module, note, self._pool = _opened(path)
        height, width = note["fixed_size"].split("x")
        self.fixed_size: tuple[int, int] | None = (int(height), int(width))
        self.size_multiple, self.min_size = sizes_from(note)

    def __call__(self, blurred: Tensor) -> Tensor:
        height, width = blurred.shape[-2:]
        if (height, width) != self.fixed_size:
            right = "{}x{}".format(*self.fixed_size or ())
            raise UserError(
                f"pictures must be {right} for this .pte file; got {height}x{width}. Export one for that size."
            )
        if _follow_threads() != self._pool:
            self._module, _, self._pool = _opened(self._path)
        return in_batches(self._restored, blurred.detach().cpu(), self.max_batch)

    def _restored(self, picture: Tensor) -> Tensor:
        restored: Tensor = self._module.forward((picture.contiguous(),))[0]
        return restored


def open_file(path: Path) -> ExecutorchRestorer:
    """A restorer from a `.pte` of ours; a UserError if it is damaged or foreign."""
    return ExecutorchRestorer(path)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"executorch": version("executorch"), "torch": torch.__version__}


def _lower(graph: nn.Module, example: Tensor, note: dict[str, str]) -> Any:
    with _quiet(), torch.no_grad():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        program = torch.export.export(graph, (example,))
        return to_edge_transform_and_lower(
            program, partitioner=[XnnpackPartitioner()], constant_methods={_NOTE: json.dumps(note)}
        )


def _program(lowered: Any) -> bytes:
    with _quiet():
        from executorch.exir import ExecutorchBackendConfig
        from executorch.exir.passes import MemoryPlanningPass

        # The pictures are the caller's: no memory is kept for copies of them.
        planning = MemoryPlanningPass(alloc_graph_input=False, alloc_graph_output=False)
        return bytes(lowered.to_executorch(ExecutorchBackendConfig(memory_planning_pass=planning)).buffer)


def _outside(lowered: Any) -> Counter[str]:
    """The operators that XNNPACK does not run."""
    names = [str(n.target) for n in lowered.exported_program().graph.nodes if n.op == "call_function"]
    return Counter(name for name in names if "call_delegate" not in name and "getitem" not in name)


def _xnnpack_graphs(lowered: Any) -> Iterator[dict[str, Any]]:
    from executorch.backends.xnnpack.serialization import xnnpack_graph_serialize as serialize
    from executorch.exir._serialize._flatbuffer import _flatc_decompile

    for module in lowered.exported_program().graph_module.children():
        content = bytes(module.processed_bytes)
        header = serialize.XNNHeader.from_bytes(content[: serialize.XNNHeader.EXPECTED_LENGTH])
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            (work / "schema.fbs").write_bytes(serialize._get_schema_bytes())
            end = header.flatbuffer_offset + header.flatbuffer_size
            (work / "graph.bin").write_bytes(content[header.flatbuffer_offset : end])
            _flatc_decompile(folder, str(work / "schema.fbs"), str(work / "graph.bin"), ["--raw-binary"])
            # flatc writes infinite limits as JSON readers do not.
            yield json.loads(re.sub(r": (-?)inf\b", r": \1Infinity", (work / "graph.json").read_text()))


def _opened(path: Path) -> tuple[Any, dict[str, str], int]:
    """The program, its note, and the number of the pool of threads that it keeps."""
    reason = unavailable("cpu")
    if reason:
        raise UserError(f"opening {path} must have ExecuTorch; {reason}.")
    foreign = UserError(
        f"{path} must be a .pte that lightsharp wrote; it is damaged or foreign. Make it with lightsharp export."
    )
    if not _is_whole(path):
        raise foreign
    with _quiet():
        from executorch.extension.pybindings import portable_lib

        try:
            pool = _follow_threads()
            module = portable_lib._load_for_executorch(str(path))
            stated = json.loads(module.run_method(_NOTE, ())[0]) if _NOTE in module.method_names() else {}
        except (RuntimeError, json.JSONDecodeError):
            raise foreign from None
    if not set(_NOTE_KEYS) <= set(stated):
        raise foreign
    return module, stated, pool


def _checksum(program: bytes) -> bytes:
    """What follows the program: ExecuTorch reads as far as its header says, and runs weights that changed."""
    return _NOTE.encode() + hashlib.sha256(program).digest()


def _is_whole(path: Path) -> bool:
    """Whether the file ends with the checksum of what comes before it."""
    content = path.read_bytes()
    length = len(content) - len(_checksum(b""))
    return length > 0 and content[length:] == _checksum(content[:length])


_pools = 1


def _follow_threads() -> int:
    """Have as many threads as torch has; returns the number of the pool of threads, of which there is one a process.

    A program keeps the pool that it was opened with: run after another one took its place, it crashes (measured).
    """
    global _pools
    from executorch.extension.pybindings import portable_lib

    if portable_lib._threadpool_get_thread_count() != torch.get_num_threads():
        with _quiet():
            portable_lib._unsafe_reset_threadpool(torch.get_num_threads())
        _pools += 1
    return _pools


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what ExecuTorch's C++ tells stderr of processors and threads, and warnings of its own. Errors raise."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
