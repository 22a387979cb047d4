"""Quantization-aware training: the loop that trains every network, on one that simulates INT8."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from baseline.restorer import size_for, state_sizes_
from compress.known import known_of


class Simulated(nn.Module):
    """A settled graph that computes as INT8 will, and can be trained: rounding lets gradients through."""

    def __init__(self, prepared: GraphModule) -> None:
        super().__init__()
        # An exported graph refuses train() and eval(); what they would change was settled when it was exported.
        self.network = GraphModule(prepared, prepared.graph)
        state_sizes_(self, prepared)

    def forward(self, blurred: Tensor) -> Tensor:
        restored: Tensor = self.network(blurred)
        return restored


def train_simulated_(prepared: GraphModule, fit: Callable[[nn.Module], None]) -> None:
    """Train the weights of a settled graph; the scales of weights follow them, those of activations stay."""
    for known in known_of(prepared):
        known.simulates = known.follows = True
    simulated = Simulated(prepared)
    fit(simulated)
    # What is kept may be a moving average, whose scales are still those of other weights.
    side = size_for(prepared, (64, 64))
    with torch.no_grad():
        simulated(torch.zeros(1, 3, *side))
    for known in known_of(prepared):
        known.simulates = known.follows = False
