"""Which layers compute what their kind computes, so that they may be replaced by what is known of the kind."""

from torch import nn
from torch.nn.utils import parametrize


def is_plain(layer: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer is of this very kind, no subclass, and nothing is done before or after its forward.

    A parametrized layer is of the kind that it was: its weights are what its parametrization gives.
    """
    own = type(layer).__bases__[0] if parametrize.is_parametrized(layer) else type(layer)
    hooked = layer._forward_hooks or layer._forward_pre_hooks
    return own is kind and not hooked and "forward" not in vars(layer)
