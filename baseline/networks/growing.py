"""A deeper network that begins as a trained, shallower one: the same function, with room for more."""

from collections.abc import Callable

import torch
from torch import nn

from baseline.errors import UserError
from baseline.restorer import outputs_of, size_multiple_of

MOST_APART = 1e-5
"""Largest difference of the outputs: the order of sums may change, the function must not."""

_BEGIN = "begin_as_identity_"


def grow_(deeper: nn.Module, trained: nn.Module) -> list[str]:
    """Give `deeper` the weights of `trained`, in place. Returns the blocks that only it has; they change nothing.

    A block begins so by its own `begin_as_identity_`. A UserError if a layer does not fit, or the outputs differ.
    """
    try:
        missing, unexpected = deeper.load_state_dict(trained.state_dict(), strict=False)
    except RuntimeError as error:
        raise _refused(str(error).splitlines()[-1].strip()) from None
    if unexpected:
        raise _refused(f"it has no {unexpected[0]}")
    blocks = [name for name, module in deeper.named_modules() if _is_new(name, module, missing)]
    for name in blocks:
        begin: Callable[[], None] = getattr(deeper.get_submodule(name), _BEGIN)
        begin()
    apart = _difference(deeper, trained)
    if not apart <= MOST_APART:
        raise _refused(f"its outputs are {apart:.2g} off")
    return blocks


def _is_new(name: str, module: nn.Module, missing: list[str]) -> bool:
    """Whether a block that can begin as the identity has none of its weights from the trained network."""
    return hasattr(module, _BEGIN) and all(f"{name}.{key}" in missing for key in module.state_dict())


@torch.no_grad()
def _difference(deeper: nn.Module, trained: nn.Module) -> float:
    side = 16 * size_multiple_of(trained)
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    own, its = (outputs_of(network.eval(), image)[-1] for network in (deeper, trained))
    return float((own - its).abs().max())


def _refused(reason: str) -> UserError:
    return UserError(
        f"arguments without a network's name must make the network before deeper, and no wider; {reason}. "
        "Leave them out, or name a network to train from scratch."
    )
