"""Networks as ONNX files: FP32, FP32 with weights in half precision, and INT8 in QDQ nodes with our ranges."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from baseline.atomic import whole_file
from baseline.errors import UserError
from baseline.restorer import stated_sizes
from compress.graph import deployed_graph, dynamic_sides
from compress.half import half_weights_of

INPUT, OUTPUT = "blurred", "restored"
_OPSET = 20
_FEWEST_WEIGHTS = 64
"""Of a tensor that is kept in half precision: below it, a cast takes more bytes than are saved."""


def missing() -> str | None:
    """Why no ONNX file can be written here, and what to type; None if one can."""
    for name in ("onnx", "onnxscript"):
        try:
            __import__(name)
        except ImportError:
            return f"{name} is not installed; type: pip install 'lightsharp[onnx]'"
    return None


def write_onnx(network: nn.Module, path: Path, size: tuple[int, int]) -> dict[str, str]:
    """Write the deployed graph, traced at height x width, for one picture of any size that fits; returns its note.

    The note stands in the file's metadata, too.
    """
    reason = missing()
    if reason:
        raise UserError(f"exporting to ONNX must have its libraries; {reason}.")
    example = torch.zeros(1, 3, *size)
    graph = deployed_graph(network, example)
    with _quiet(), torch.no_grad():
        program = torch.export.export(graph, (example,), dynamic_shapes=dynamic_sides(network))
        exported = torch.onnx.export(
            program,
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=_OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
        )
    if exported is None:
        raise TypeError("torch.onnx.export gave nothing")
    note = {**stated_sizes(network), "torch": torch.__version__, "opset": str(_OPSET)}
    exported.model.metadata_props.update({f"lightsharp.{key}": value for key, value in note.items()})
    with whole_file(path) as beside:
        exported.save(str(beside))
        if (kept_in := half_weights_of(network)) is not None:
            _keep_weights(beside, kept_in)
    return note


def _keep_weights(path: Path, dtype: torch.dtype) -> None:
    """Keep the FP32 weights of a file that half precision holds exactly in it, each with a cast to FP32 behind it.

    Runtimes compute the casts once, when they open the file.
    """
    import onnx

    model = onnx.load(path)
    casts = []
    for initializer in model.graph.initializer:
        if initializer.data_type != onnx.TensorProto.FLOAT:
            continue
        weights = torch.from_numpy(onnx.numpy_helper.to_array(initializer).copy())
        kept = weights.to(dtype)
        if weights.numel() < _FEWEST_WEIGHTS or not torch.equal(kept.float(), weights):
            continue
        name, kind = initializer.name, onnx.TensorProto.FLOAT16 if dtype == torch.float16 else onnx.TensorProto.BFLOAT16
        content = kept.view(torch.uint16).numpy().tobytes()
        initializer.CopyFrom(onnx.helper.make_tensor(f"{name}.kept", kind, weights.shape, content, raw=True))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.kept"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of torchvision, which nothing here uses, and of names that torch itself will change."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        logger.setLevel(level)
