"""Gradient checkpointing (Chen et al., arXiv 1604.06174): less memory in training for one more forward pass.

The inner results of a block are not kept for the backward pass but computed again when it gets there.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MethodType
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from baseline.errors import UserError


@contextmanager
def checkpointed_gradients(network: nn.Module) -> Iterator[list[str]]:
    """While it is open, the network's blocks are recomputed in the backward pass; gives the names of these blocks.

    Gradients, random draws, buffers and the names in the state dict stay what they are without it. A UserError if the
    network has no block to recompute.
    """
    blocks = dict(_blocks(network))
    if not blocks:
        raise UserError(
            "the network must have blocks of several layers to recompute; it has none. "
            "Leave gradient checkpointing off."
        )
    for block in blocks.values():
        # A bound method, and not a closure, because a deep copy of it is bound to the copied block.
        block.__dict__["forward"] = MethodType(_recomputed, block)
    try:
        yield list(blocks)
    finally:
        for block in blocks.values():
            del block.__dict__["forward"]


def _blocks(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The outermost submodules of at least two layers, but of at most half of the network's.

    Recomputing all at once would need as much memory as keeping all.
    """
    most = _layers(network) / 2

    def inside(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
        for name, child in module.named_children():
            layers = _layers(child)
            if layers > most or isinstance(child, nn.ModuleList | nn.ModuleDict):
                yield from inside(child, f"{prefix}{name}.")
            elif layers >= 2 and "forward" not in vars(child):
                yield f"{prefix}{name}", child

    return inside(network, "")


def _layers(module: nn.Module) -> int:
    """How many modules with parameters of their own a module holds."""
    return sum(next(m.parameters(recurse=False), None) is not None for m in module.modules())


def _recomputed(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """The forward pass of a block whose inner results are not kept."""
    forward: Callable[..., Any] = type(block).forward

    def first_and_second_pass() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _unchanged_buffers(block)

    return checkpoint(forward, block, *args, use_reentrant=False, context_fn=first_and_second_pass, **kwargs)


@contextmanager
def _unchanged_buffers(block: nn.Module) -> Iterator[None]:
    """Undo what a pass does to buffers: running statistics count a batch once, however often it is computed."""
    before = [(buffer, buffer.clone()) for buffer in block.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.data.copy_(value)
