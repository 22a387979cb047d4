"""FP16 and BF16: weights kept in half precision, arithmetic in it or in FP32, FP32 images in and out."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from baseline.errors import UserError
from baseline.restorer import Finest, outputs_of, state_sizes_
from compress.rewriting import agreement_db, apart, copied, outputs_on, some_crops

_ROUNDINGS = 16
"""How many times the rounding of one number a whole network's output may be off: layers and sums add theirs."""
_HEADROOM = 4
"""Other pictures may reach further than those that were looked at."""


class HalfPrecision(nn.Module):
    """A half-precision network behind a single-precision door; the finest output only."""

    def __init__(self, half_network: nn.Module, dtype: torch.dtype = torch.float16) -> None:
        super().__init__()
        self.network = Finest(half_network)
        state_sizes_(self, half_network)
        self.dtype = dtype

    def forward(self, blurred: Tensor) -> Tensor:
        restored: Tensor = self.network(blurred.to(self.dtype))
        return restored.float()


class HalfWeights(Finest):
    """An FP32 network whose weights are half-precision numbers, and are kept as such; the finest output only."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__(network)
        self.dtype = dtype


def half_weights_of(network: nn.Module) -> torch.dtype | None:
    """What the weights of a network that computes in FP32 are kept in; None for FP32 itself and any other network."""
    return network.dtype if isinstance(network, HalfWeights) else None


def in_fp32(network: nn.Module) -> nn.Module:
    """A network that computes in half precision as one that computes in FP32 with the same weights; others as is."""
    if not isinstance(network, HalfPrecision):
        return network
    return HalfWeights(copied(network.network.network).float(), network.dtype).eval()


@torch.no_grad()
def largest_activation(network: nn.Module, crops: list[Tensor]) -> tuple[float, str]:
    """The largest absolute value that any module gives for the crops, each 1,3,H,W, and its name; NaN is infinite."""
    found: dict[str, float] = {}

    def watch(name: str) -> Callable[..., None]:
        def look(_layer: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                reached = float(output.abs().max())
                # A NaN is larger than all: it must not be lost in a comparison.
                found[name] = math.inf if math.isnan(reached) else max(found.get(name, 0.0), reached)

        return look

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in network.named_modules()]
    try:
        for crop in crops:
            outputs_of(network, crop)
    finally:
        for hook in hooks:
            hook.remove()
    layer = max(found, key=found.__getitem__, default="")
    return found.get(layer, 0.0), layer or "the output"


def check_finite(network: nn.Module, crops: list[Tensor]) -> tuple[float, str]:
    """As `largest_activation`; a UserError if a layer gives what is no finite number."""
    largest, layer = largest_activation(network, crops)
    if not math.isfinite(largest):
        raise UserError(f"the network must give finite numbers; {layer} does not. Train it anew, or mend its weights.")
    return largest, layer


def check_range(network: nn.Module, crops: list[Tensor]) -> str:
    """What of FP16's range the network uses, in words; a UserError if it comes near the end of it."""
    largest, layer = check_finite(network, crops)
    limit = torch.finfo(torch.float16).max
    if not largest < limit / _HEADROOM:
        raise UserError(
            f"FP16 must hold all activations up to {limit:g}; {layer} reached {largest:g}, within a factor of "
            f"{_HEADROOM} of it. Take scheme bf16."
        )
    return f"largest activation {largest:.3g}, in {layer}; FP16 holds {limit:g}"


def agreement_of_half(
    network: nn.Module, half: nn.Module, dtype: torch.dtype, crops: Sequence[Tensor]
) -> tuple[float, str]:
    """PSNR in dB of a network in half precision against itself in FP32 on a few crops, and the criterion in words.

    Half precision is no exact rewriting: its outputs must be finite, and off by no more than its roundings explain. A
    UserError otherwise. A RuntimeError if the CPU has no such arithmetic for some operator.
    """
    some = some_crops(crops, network)[1:]
    found, expected = outputs_on(half, some), outputs_on(network.eval(), some)
    off, limit = apart(found, expected), _ROUNDINGS * torch.finfo(dtype).eps
    name = str(dtype).removeprefix("torch.")
    if not off <= limit:
        raise UserError(
            f"the network in {name} must be what it is in FP32, to {limit:.2g} of its output; it is off by {off:.2g}. "
            "Take another scheme, or leave it in FP32."
        )
    return agreement_db(found, expected), f"off by {off:.2g} of the FP32 output; {name} may be by {limit:.2g}"
