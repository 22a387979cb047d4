"""What a network costs before any clock is read: parameters and multiply-adds of what is deployed."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.fx import GraphModule

from baseline.restorer import Finest, outputs_of
from compress.graph import used_bytes
from compress.half import half_weights_of
from compress.products import FFT_FORMULA, FFTS, PRODUCTS, product_macs
from compress.trial import layers_run_by_black, layers_run_sometimes, probes

_NO_MULTIPLY_ADDS = (
    "aten::upsample_nearest2d",
    "aten::upsample_bilinear2d",
    "aten::adaptive_avg_pool2d",
    "aten::batch_norm",
    "aten::group_norm",
    "aten::layer_norm",
    "aten::instance_norm",
    "aten::grid_sampler",
)
"""Operators for which fvcore counts something other than multiply-adds, such as one for each output element."""
_OWN_FUNCTION = "prim::PythonOp"
_COUNTED = {"with": True, "without": False}


@dataclass(frozen=True)
class Cost:
    """`params` and `macs` of the deployed graph (the finest output) at one input size, `training_params` of the whole.

    One multiply-add is one MAC. `uncounted` are the operators that the counter leaves out, with their number,
    `formulas` how it counts where there is no one way: some operators, and networks that choose layers by the image.
    """

    params: int
    training_params: int
    macs: int
    size: tuple[int, int]
    uncounted: dict[str, int] = field(default_factory=dict)
    formulas: tuple[str, ...] = ()


def cost(network: nn.Module, size: tuple[int, int] = (256, 256)) -> Cost:
    """Count a network at batch 1, the size as height and width."""
    macs, uncounted, formulas = _counted(network, size)
    formulas += _layers_counted(network)
    return Cost(deployed_params(network), parameters(network), macs, size, uncounted, formulas)


def _layers_counted(network: nn.Module) -> tuple[str, ...]:
    """Of a network that runs other layers for other images, which of them are counted; nothing for others."""
    looked_at = copy.deepcopy(network).eval()
    sometimes = layers_run_sometimes(looked_at)
    if not sometimes:
        return ()
    counted = layers_run_by_black(looked_at)
    parts = {word: [name for name in sometimes if (name in counted) is is_in] for word, is_in in _COUNTED.items()}
    named = ", ".join(f"{word} {' and '.join(names)}" for word, names in parts.items() if names)
    return (f"a black image, {named}, for the network chooses layers by the image",)


def count_macs(network: nn.Module, size: tuple[int, int] = (256, 256)) -> tuple[int, dict[str, int]]:
    """Multiply-adds of one image of height x width, and the operators that are left out."""
    return _counted(network, size)[:2]


def _counted(network: nn.Module, size: tuple[int, int]) -> tuple[int, dict[str, int], tuple[str, ...]]:
    """As fvcore counts, with our own counts of the products that it does not know."""
    example = torch.zeros(1, 3, *size, device=next(network.parameters()).device)
    analysis = FlopCountAnalysis(Finest(network), example)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    uncounted: Counter[str] = Counter()
    analysis.set_op_handle(**{name: _uncounted(name, uncounted) for name in _NO_MULTIPLY_ADDS})
    analysis.set_op_handle(**{f"aten::{name}": _product(uncounted) for name in PRODUCTS})
    with torch.no_grad(), _attention_as_written():
        macs = int(analysis.total())
        own = [name for name in analysis.unsupported_ops() if name.startswith(_OWN_FUNCTION)]
        if own:
            # Functions with a backward of their own, known by name only now: their products count, and nothing else.
            uncounted.clear()
            analysis.set_op_handle(**{name: _product(uncounted, whole=False) for name in own})
            macs = int(analysis.total())
    uncounted += analysis.unsupported_ops()
    ffts = any(name in FFTS for name in analysis.by_operator())
    return macs, dict(uncounted), (FFT_FORMULA,) if ffts else ()


@contextmanager
def _attention_as_written() -> Iterator[None]:
    """Without the one operator that torch makes of a whole nn.MultiheadAttention when it is not trained."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _product(uncounted: Counter[str], whole: bool = True) -> Callable[[list[Any], list[Any]], int]:
    """Counts an operator's products, and notes it where there are none, or where they are not the `whole` of it."""

    def count(_inputs: list[Any], outputs: list[Any]) -> int:
        node = outputs[0].node()
        macs = product_macs(node)
        if macs is None or not whole:
            uncounted[f"{_OWN_FUNCTION}.{node.pyname()}" if node.kind() == _OWN_FUNCTION else node.kind()] += 1
        return macs or 0

    return count


def _uncounted(name: str, uncounted: Counter[str]) -> Callable[[list[Any], list[Any]], int]:
    def note(_inputs: list[Any], _outputs: list[Any]) -> int:
        uncounted[name] += 1
        return 0

    return note


def weight_bytes(opened: nn.Module, params: int) -> int:
    """Bytes of the weights of a network from `compress.quantize.open_artifact` with so many deployed parameters.

    As artifacts and files keep them: where half precision is computed with in FP32, memory holds twice as many.
    """
    if isinstance(opened, GraphModule):
        return used_bytes(opened)
    kept_in = half_weights_of(opened) or next(opened.parameters()).dtype
    return params * kept_in.itemsize


def parameters(network: nn.Module) -> int:
    """The number of parameters, those of outputs that are only trained on included."""
    return sum(p.numel() for p in network.parameters())


def deployed_params(network: nn.Module) -> int:
    """The number of parameters that the finest output depends on."""
    used = used_parameters(network)
    return sum(p.numel() for name, p in network.named_parameters() if name in used)


def used_parameters(network: nn.Module) -> set[str]:
    """The names of the parameters that the finest output depends on, for any image."""
    whole = copy.deepcopy(network).requires_grad_(True)
    own = dict(whole.named_parameters())
    used: set[str] = set()
    for image in probes(whole).values():
        with torch.enable_grad():
            finest = outputs_of(whole, image.clone())[-1]
            gradients = torch.autograd.grad(finest.sum(), list(own.values()), allow_unused=True)
        used |= {name for name, gradient in zip(own, gradients, strict=True) if gradient is not None}
    return used
