"""Branches that were there to be trained become the plain convolutions that are deployed."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from baseline.artifact import Artifact
from baseline.errors import UserError, named_line
from baseline.networks.convolutions import BranchedConv
from baseline.networks.zoo import build_another
from baseline.restorer import outputs_of
from baseline.sizes import found_sizes, protect_input_, state_found_sizes_

MOST_APART = 1e-5
"""The largest difference of outputs in 0..1 between a network with branches and the folded one."""


def has_branches(network: nn.Module) -> bool:
    """Whether there is anything to fold."""
    return any(isinstance(layer, BranchedConv) for layer in network.modules())


def deployed_form(artifact: Artifact) -> Artifact:
    """The artifact itself, or folded if there is anything to fold."""
    return folded(artifact) if has_branches(artifact.network) else artifact


def folded_if_same(artifact: Artifact, blurred: Tensor) -> tuple[Artifact, str | None]:
    """The folded artifact; or, where that is not the same function of N,3,H,W, itself and why. Its network: eval mode.

    A UserError if the network does not state what builds it without branches.
    """
    try:
        plain = deployed_form(artifact)
        apart = largest_difference(artifact.network.eval(), plain.network.eval(), blurred)
    except UserError:
        raise
    except Exception as broken:  # noqa: BLE001  whatever a foreign network says when it breaks is the reason
        return artifact, f"the folded network breaks ({named_line(broken)})"
    if not apart <= MOST_APART:
        return artifact, f"the outputs differ by {apart:.1e}"
    return plain, None


def folded(artifact: Artifact) -> Artifact:
    """The same network built plainly: with the arguments that it states under `folded_arguments`, and their layers."""
    arguments = artifact.arguments | _folded_arguments(artifact.network)
    plain = build_another(artifact.architecture, arguments)
    plain.load_state_dict(_plain_state(artifact.network))
    if (sizes := found_sizes(artifact.network)) is not None:
        state_found_sizes_(plain, sizes)
    if ":" in artifact.architecture:
        protect_input_(plain)
    return replace(artifact, network=plain.train(artifact.network.training), arguments=arguments)


def _folded_arguments(network: nn.Module) -> dict[str, Any]:
    """What a network says builds it without branches."""
    stated = getattr(network, "folded_arguments", None)
    if not isinstance(stated, dict):
        raise UserError(
            "a network with branches must state folded_arguments, those that build it without them; it does not. "
            'Add, say, self.folded_arguments = {"conv": "plain"}.'
        )
    return stated


def _plain_state(network: nn.Module) -> dict[str, Tensor]:
    state = network.state_dict()
    for name, layer in network.named_modules():
        if isinstance(layer, BranchedConv):
            state = {key: value for key, value in state.items() if not key.startswith(f"{name}.")}
            state |= {f"{name}.{key}": value for key, value in layer.folded().state_dict().items()}
    return state


def largest_difference(one: nn.Module, other: nn.Module, blurred: Tensor) -> float:
    """The largest absolute difference of any output of two networks on N,3,H,W."""
    with torch.inference_mode():
        pairs = zip(outputs_of(one, blurred), outputs_of(other, blurred), strict=True)
        return max(float((a - b).abs().max()) for a, b in pairs)
