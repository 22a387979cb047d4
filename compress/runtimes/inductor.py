"""torch.compile: with CUDA graphs on a GPU, with frozen weights on a CPU."""

from torch import nn

from baseline.restorer import NetworkRestorer, Restorer, on_device
from compress.runtimes import compiler, eager


def unavailable(device: str) -> str | None:
    """On a CPU it needs a C++ compiler, on a GPU a GPU."""
    return eager.unavailable(device) or (compiler.missing() if device == "cpu" else None)


def wrap(network: nn.Module, device: str) -> Restorer:
    """The network compiled for the sizes that it meets."""
    moved = on_device(network, device)
    option = "freezing" if device == "cpu" else "triton.cudagraphs"
    moved.compile(options={option: True})
    return NetworkRestorer(moved)
