"""Multiply-adds of products that fvcore does not know, or not in every spelling: each operator is run again.

It runs without content, on shapes from the trace that fvcore made, and torch counts the products that it comes down
to. So a product costs the same as matmul, einsum, baddbmm or fused attention.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

FFTS = tuple(f"fft_{way}fft{dims}" for way in ("", "i", "r", "ir", "h", "ih") for dims in ("", "2", "n"))
PRODUCTS = (
    "addbmm",
    "addmm",
    "addmv",
    "baddbmm",
    "bmm",
    "chain_matmul",
    "_convolution",
    "_convolution_mode",
    "dot",
    "einsum",
    "gru",
    "inner",
    "linalg_multi_dot",
    "linear",
    "lstm",
    "matmul",
    "mm",
    "mv",
    "rnn_relu",
    "rnn_tanh",
    "scaled_dot_product_attention",
    "tensordot",
    "vdot",
    *FFTS,
)
"""Operators of aten that come down to sums of products, or to FFTs."""

FFT_FORMULA = "an FFT of N complex numbers as 2.5 N log2 N, of real ones as half of that"


def product_macs(node: torch._C.Node) -> int | None:
    """Multiply-adds of one operator of a trace; None if it comes down to no product that is known.

    One of complex numbers is four of real ones.
    """
    if node.kind() == "prim::PythonOp":
        inner = [product_macs(n) for n in node.g("Subgraph").nodes()] if node.hasAttribute("Subgraph") else []
        return sum(macs or 0 for macs in inner) or None
    if node.kind().removeprefix("aten::") not in PRODUCTS:
        return None
    try:
        values = [_value_of(value) for value in node.inputs()]
        with FlopCounterMode(display=False, custom_mapping=_FORMULAS) as counter, torch.no_grad():
            _run(node, values)
    except (RuntimeError, NotImplementedError, ValueError):
        return None  # the caller names it among what is not counted
    complex_numbers = any(isinstance(value, Tensor) and value.is_complex() for value in _flat(values))
    times = 4 if complex_numbers and "fft" not in node.kind() else 1
    return times * counter.get_total_flops() // 2 or None


def _run(node: torch._C.Node, values: list[Any]) -> Any:
    """The operator of a node, of these arguments."""
    schema = torch._C.parse_schema(node.schema())
    packet = getattr(torch.ops.aten, schema.name.removeprefix("aten::"))
    named = {a.name: v for a, v in zip(schema.arguments, values, strict=True) if a.kwarg_only}
    return getattr(packet, schema.overload_name or "default")(*values[: len(values) - len(named)], **named)


def _value_of(value: torch._C.Value) -> Any:
    """An argument in a trace: a constant, a number computed from sides, or a tensor of that shape without content."""
    node = value.node()
    kind = node.kind()
    if kind == "prim::Constant":
        return value.toIValue()
    if kind in ("prim::ListConstruct", "prim::TupleConstruct"):
        return [_value_of(each) for each in node.inputs()]
    if kind == "aten::size":
        tensor, dim = node.inputs()
        return _shape(tensor)[_value_of(dim)]
    if kind == "prim::NumToTensor":
        return torch.tensor(_value_of(node.input()))
    if kind in ("aten::Int", "aten::Float"):
        return _value_of(node.input()).item()
    if value.isCompleteTensor() and _shape(value):
        return torch.empty(_shape(value), dtype=value.type().dtype(), device="meta")
    return _run(node, [_value_of(each) for each in node.inputs()])


def _shape(value: torch._C.Value) -> list[int]:
    return list(value.type().sizes())  # type: ignore[attr-defined]


def _flat(values: list[Any]) -> list[Any]:
    return [each for value in values for each in (_flat(value) if isinstance(value, list) else [value])]


def _of_complex(shape: torch.Size, dims: list[int], *_: object, **__: object) -> int:
    points = math.prod(shape[dim] for dim in dims)
    return round(5 * math.prod(shape) * math.log2(points))


def _of_real(shape: torch.Size, dims: list[int], *_: object, out_shape: torch.Size, **__: object) -> int:
    """To or from real numbers, of which there are more than of others: along the last of the dims, half the work."""
    complex_shape, real = sorted((shape, out_shape), key=math.prod)
    return _of_complex(real, dims[-1:]) // 2 + _of_complex(complex_shape, dims[:-1])


def _of_vectors(shape: torch.Size, *_: object, **__: object) -> int:
    return 2 * math.prod(shape)


def _of_matrices(_sum: torch.Size, shape: torch.Size, other: torch.Size, **__: object) -> int:
    return 2 * math.prod(shape) * (other[-1] if len(other) == 3 else 1)


aten = torch.ops.aten
_FORMULAS = {
    aten._fft_c2c: _of_complex,
    aten._fft_r2c: _of_real,
    aten._fft_c2r: _of_real,
    aten.mv: _of_vectors,
    aten.dot: _of_vectors,
    aten.vdot: _of_vectors,
    aten.addmv: _of_matrices,
    aten.addbmm: _of_matrices,
}
"""What torch's counter does not know: twice the multiply-adds by shapes."""
