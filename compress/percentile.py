"""An observer that cuts off rare outliers."""

from typing import Any

import torch
from torch import Tensor
from torchao.quantization.pt2e.observer import UniformQuantizationObserverBase

_KEPT = 0.9999
_MOST_VALUES = 100_000
"""Larger tensors are looked at in even steps."""


class PercentileObserver(UniformQuantizationObserverBase):  # type: ignore[misc]
    """The mean over all tensors seen of the range that holds 99.99% of a tensor's values."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.register_buffer("lowest", torch.zeros(()))
        self.register_buffer("highest", torch.zeros(()))
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        values = x.detach().flatten()
        values = values[:: -(-len(values) // _MOST_VALUES)].float()
        tail = (1 - _KEPT) / 2
        low, high = torch.quantile(values, torch.tensor([tail, 1 - tail], device=x.device))
        self.seen += 1
        self.lowest += (low - self.lowest) / self.seen
        self.highest += (high - self.highest) / self.seen
        return x

    def calculate_qparams(self, **_: Any) -> tuple[Tensor, Tensor]:
        scale, zero_point = self._calculate_qparams(self.lowest, self.highest)
        return scale, zero_point
