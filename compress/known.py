"""Scales and zero points that are known: what an INT8 artifact keeps, and what can simulate INT8 in float."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torchao.quantization.pt2e.observer import HistogramObserver, ObserverBase, UniformQuantizationObserverBase

_PER_CHANNEL = torch.per_channel_symmetric

SMALLEST = 2.0**-48
"""The smallest scale: products of two are still far from the end of FP32, and histograms of so small values still work.

What reaches no further holds nothing, and any scale is right for it: it gets `OF_NOTHING`.
"""
OF_NOTHING = 2.0**-12


class Known(UniformQuantizationObserverBase):  # type: ignore[misc]
    """Scale and zero point of one tensor of a prepared graph: one each, or one a channel for weights.

    With `simulates` it rounds what passes to the grid of 8 bits, and lets gradients through (within the range). With
    `follows` the scales of weights are taken from the weights anew, as training moves them.
    """

    def __init__(self, ch_axis: int, **grid: Any) -> None:
        super().__init__(**grid)
        self.ch_axis = ch_axis
        self.register_buffer("scale", torch.ones(1))
        self.register_buffer("zero_point", torch.zeros(1, dtype=torch.int32))
        self.simulates = False
        self.follows = False

    @classmethod
    def like(cls, observer: Any) -> "Known":
        """For the tensor of an observer, with a scale yet to be given."""
        axis = getattr(observer, "ch_axis", 0)
        names = ("dtype", "qscheme", "quant_min", "quant_max")
        return cls(axis, **{name: getattr(observer, name) for name in names})

    @classmethod
    def of(cls, observer: Any) -> "Known":
        """What an observer has found out."""
        known = cls.like(observer)
        if isinstance(observer, HistogramObserver) and observer.max_val - observer.min_val < SMALLEST * 255:
            # Of values that are all alike: a search in so narrow a histogram would not end.
            scale, zero_point = observer._calculate_qparams(observer.min_val, observer.max_val)
        else:
            scale, zero_point = observer.calculate_qparams()
        known.scale, known.zero_point = _of_something(scale.detach().clone()), zero_point.to(torch.int32)
        return known

    @property
    def of_weights(self) -> bool:
        """Whether it has a scale for every channel."""
        return bool(self.qscheme == _PER_CHANNEL)

    def forward(self, x: Tensor) -> Tensor:
        if self.follows and self.of_weights:
            others = [d for d in range(x.dim()) if d != self.ch_axis]
            largest = x.detach().abs().amax(others)
            self.scale.copy_(_of_something(largest / self.quant_max))
        if not self.simulates:
            return x
        if self.of_weights:
            return torch.fake_quantize_per_channel_affine(
                x, self.scale, self.zero_point, self.ch_axis, self.quant_min, self.quant_max
            )
        return torch.fake_quantize_per_tensor_affine(
            x, float(self.scale), int(self.zero_point), self.quant_min, self.quant_max
        )

    def calculate_qparams(self, **_: Any) -> tuple[Tensor, Tensor]:
        return self.scale, self.zero_point


def _of_something(scale: Tensor) -> Tensor:
    """The scales, with another one where a tensor or channel holds nothing."""
    return torch.where(scale > SMALLEST, scale, OF_NOTHING)


def settle_(prepared: GraphModule) -> None:
    """Replace every observer by what it has found out; one that stands for several tensors stays one."""
    known: dict[int, Known] = {}
    for name, observer in list(prepared.named_modules(remove_duplicate=False)):
        if isinstance(observer, ObserverBase) and not isinstance(observer, Known):
            settled = known.setdefault(id(observer), Known.of(observer))
            prepared.set_submodule(name, settled)


def known_of(prepared: nn.Module) -> list[Known]:
    """All scales and zero points of a settled graph."""
    return [module for module in prepared.modules() if isinstance(module, Known)]
