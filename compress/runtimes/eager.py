"""PyTorch as it is written."""

import torch
from torch import nn

from baseline.restorer import NetworkRestorer, Restorer, on_device


def unavailable(device: str) -> str | None:
    """CUDA needs a GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        return "no CUDA device here"
    return None


def wrap(network: nn.Module, device: str) -> Restorer:
    """The network, moved to the device, channels last."""
    return NetworkRestorer(on_device(network, device))
