"""torch.compile: with CUDA graphs on a GPU, with frozen weights on a CPU."""

import torch
import torch._inductor.config
from torch import nn

from baseline.restorer import NetworkRestorer, Restorer
from compress.runtimes import compiler, eager


def unavailable(device: str) -> str | None:
    """On a CPU it needs a C++ compiler, on a GPU a GPU."""
    return eager.unavailable(device) or (compiler.missing() if device == "cpu" else None)


def wrap(network: nn.Module, device: str) -> Restorer:
    """The network compiled for the sizes that it meets."""
    moved = network.to(device, memory_format=torch.channels_last)
    options: dict[str, str | int | bool] = {"freezing": True} if device == "cpu" else {"triton.cudagraphs": True}
    compiled = torch.compile(moved, options=options)
    restorer = NetworkRestorer(moved)
    restorer.network = compiled
    return restorer
