"""torch.compile: with or without CUDA graphs on a GPU, with frozen weights on a CPU."""

import itertools

import torch
import torch._dynamo
from torch import Tensor, nn

from baseline.restorer import Finest, NetworkRestorer, Restorer, on_device
from compress.runtimes import compiler, eager

_COMPILATIONS = 256
"""All networks go through one `forward`, so the limit of torch, 8, counts networks times sizes times threads."""

_NUMBERS = itertools.count()


def unavailable(device: str) -> str | None:
    """On a CPU it needs a C++ compiler, on a GPU a GPU."""
    return eager.unavailable(device) or (compiler.missing() if device == "cpu" else None)


def wrap(network: nn.Module, device: str, cuda_graphs: bool = True) -> Restorer:
    """The network compiled anew for each size that it meets; an error, never eager in silence, beyond 256 of them."""
    torch._dynamo.config.recompile_limit = _COMPILATIONS
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    compiled = _Own(on_device(network, device))
    option = {"freezing": True} if device == "cpu" else {"triton.cudagraphs": cuda_graphs}
    # Without dynamic=False the second size would run code for all sizes, which is slower.
    compiled.compile(dynamic=False, options=option)
    restorer = (_GraphRestorer if device == "cuda" and cuda_graphs else NetworkRestorer)(compiled)
    restorer.max_batch = getattr(network, "max_batch", None)
    return restorer


class _Own(Finest):
    """A network under a name that its compiled code is checked against.

    torch compiles no module of a class of its own, nn.Sequential say, and lets networks of equal shape share code.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.name = f"network {next(_NUMBERS)}"

    def forward(self, blurred: Tensor) -> Tensor:
        if not self.name:
            raise ValueError("a compiled network must have a name")
        return super().forward(blurred)


class _GraphRestorer(NetworkRestorer):
    """A CUDA graph writes each result over the one before: what is handed out is a copy."""

    def __call__(self, blurred: Tensor) -> Tensor:
        return super().__call__(blurred).clone()
