"""A small picture through a network: what shows before any work whether it restores at all."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.errors import UserError, first_line
from baseline.restorer import min_size_of, size_for


def small_example(network: nn.Module) -> Tensor:
    """The smallest sensible input of the network, N,3,H,W, on its device and of its type."""
    side = size_for(network, (16, 16))[0]
    first = next(network.parameters(), None)
    example = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return example if first is None else example.to(first)


def probes(network: nn.Module) -> dict[str, Tensor]:
    """Images to look at a network with, one by one, by what they are: it may do something else for each.

    A dark one, a bright one, one of strong contrasts (noise beside squares of saturated colours), one of a single
    colour, a large one and a small one.
    """
    noise = small_example(network)
    side = noise.shape[-1]
    squares = F.interpolate(noise[..., :4, :4].round(), size=(side, side))
    contrasts = torch.cat([noise[..., : side // 2], squares[..., side // 2 :]], dim=-1)
    return {
        "dark": 0.1 * noise,
        "bright": 0.9 + 0.1 * noise,
        "of strong contrasts": contrasts,
        "of one colour": torch.full_like(noise, 0.5),
        "large": contrasts.repeat(1, 1, 3, 3),
        "small": contrasts[..., : min_size_of(network), : min_size_of(network)],
    }


def layers_run(network: nn.Module) -> dict[str, list[str]]:
    """Every layer that any of the probes runs, by name, with the probes that run it."""
    found: dict[str, list[str]] = {}
    for kind, image in probes(network).items():
        for name in _run_by(network, image.clone()):
            found.setdefault(name, []).append(kind)
    return found


def layers_run_sometimes(network: nn.Module) -> dict[str, list[str]]:
    """The layers that some of the probes run and others do not, by name, with the probes that run them."""
    run = layers_run(network)
    every = max(map(len, run.values()), default=0)
    return {name: kinds for name, kinds in run.items() if len(kinds) < every}


def layers_run_by_black(network: nn.Module) -> set[str]:
    """The names of the layers that a black image runs."""
    return _run_by(network, torch.zeros_like(small_example(network)))


@torch.no_grad()
def _run_by(network: nn.Module, image: Tensor) -> set[str]:
    """The names of the layers that one image runs."""
    run: set[str] = set()
    hooks = [
        layer.register_forward_pre_hook(lambda _layer, _inputs, name=name: run.add(name))
        for name, layer in network.named_modules()
    ]
    try:
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return run


def run_once(network: nn.Module) -> list[Tensor]:
    """The network's outputs of the small example; a UserError with its own words if it does not take pictures."""
    try:
        with torch.no_grad():
            outputs = network(small_example(network).clone())
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the network must take a picture N,3,H,W; it fails with '{first_line(error)}'. "
            "Let its size_multiple say what height and width must be multiples of, and its min_size the least of them."
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
