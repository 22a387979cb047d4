"""A small picture through a network: what shows before any work whether it restores at all."""

import torch
from torch import Tensor, nn

from baseline.errors import UserError, first_line
from baseline.restorer import size_multiple_of


def small_example(network: nn.Module) -> Tensor:
    """The smallest sensible input of the network, N,3,H,W, on its device and of its type."""
    multiple = size_multiple_of(network)
    side = multiple * max(2, -(-16 // multiple))
    first = next(network.parameters(), None)
    example = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return example if first is None else example.to(first)


def run_once(network: nn.Module) -> list[Tensor]:
    """The network's outputs of the small example; a UserError with its own words if it does not take pictures."""
    try:
        with torch.no_grad():
            outputs = network(small_example(network))
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the network must take a picture N,3,H,W; it fails with '{first_line(error)}'. "
            "Let its size_multiple say what height and width must be multiples of."
        ) from error
    listed = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    if not all(isinstance(one, Tensor) for one in listed):
        raise UserError(
            "the network must return the restored picture, or a list of them from the coarsest scale to the finest; "
            f"it returns a {type(outputs).__name__}. Wrap it in a module that returns the picture."
        )
    return listed


def must_restore(network: nn.Module) -> None:
    """A UserError if the network does not make, of a small picture, one of the same size; its mode stays as it was."""
    training = network.training
    outputs = run_once(network.eval())
    network.train(training)
    given = small_example(network).shape
    if not outputs or outputs[-1].shape != given:
        made = "x".join(map(str, outputs[-1].shape)) if outputs else "nothing"
        raise UserError(
            f"the network must return a picture of the size that it is given; of {'x'.join(map(str, given))} it makes "
            f"{made}. Pad its convolutions, or let its size_multiple say which sizes come out whole."
        )
