"""Is pruning exact? For each dependency group: remove channels in one copy, zero the same ones in another, compare."""

import copy
import math
from dataclasses import dataclass

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch_pruning.dependency import Group

from baseline.restorer import outputs_of, size_multiple_of

TOLERANCE = 1e-5
"""Largest relative difference of the outputs: what reordered sums of single-precision products can make."""

ROOT_LAYERS = [nn.Conv2d, nn.ConvTranspose2d, nn.Linear]


@dataclass(frozen=True)
class GroupCheck:
    """A dependency group by the name of its root layer, its channels, and why it must not be pruned, if it must not."""

    name: str
    channels: int
    relative_error: float | None
    protected_because: str | None


class Channels:
    """Which channels of a network go together, by the names of the layers that produce them."""

    def __init__(self, network: nn.Module) -> None:
        for parameter in network.parameters():
            # A frozen layer has no gradient history, and torch-pruning would leave it out of the graph.
            parameter.requires_grad_(True)
        # A tuple: a bare batch of one may be traced without its batch dimension.
        self._graph = tp.DependencyGraph().build_dependency(network.eval(), example_inputs=(small_example(network),))
        self._network = network
        self._names = {layer: name for name, layer in network.named_modules()}

    def groups(self) -> dict[str, Group]:
        """Every group of output channels, whole, by the name of its root layer."""
        found = self._graph.get_all_groups(root_module_types=ROOT_LAYERS)
        return {self._names[group[0].dep.target.module]: group for group in found}

    def some(self, name: str, indices: list[int]) -> Group:
        """The part of a group that goes with these channels of its root layer."""
        layer = self._network.get_submodule(name)
        return self._graph.get_pruning_group(layer, self._graph.get_pruner_of_module(layer).prune_out_channels, indices)

    def zero_(self, name: str, indices: list[int]) -> None:
        """Zero, in place, whatever produces these channels, but nothing that consumes them."""
        for dependency, own_indices in self.some(name, indices):
            layer = dependency.target.module
            if self._graph.is_out_channel_pruning_fn(dependency.handler) and isinstance(layer, nn.Module):
                for parameter_name, parameter in layer.named_parameters(recurse=False):
                    transposed = isinstance(layer, nn.ConvTranspose2d) and parameter_name == "weight"
                    parameter.data.index_fill_(int(transposed), torch.tensor(own_indices), 0.0)


def small_example(network: nn.Module) -> Tensor:
    """The smallest sensible input of the network, N,3,H,W."""
    side = 8 * max(4, size_multiple_of(network))
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))


def check_groups(network: nn.Module) -> list[GroupCheck]:
    """Check each group of the network by removing every second of its channels."""
    groups = Channels(network).groups()
    return [_check(network, name, group) for name, group in groups.items()]


def _check(network: nn.Module, name: str, group: Group) -> GroupCheck:
    channels = len(group[0].idxs)
    if any(dependency.target.name.startswith("_OutputOp") for dependency, _ in group):
        return GroupCheck(name, channels, None, "its channels are those of an output")
    if channels < 2:
        return GroupCheck(name, channels, None, "it has one channel")
    removed = list(range(0, channels, 2))
    pruned, masked = copy.deepcopy(network), copy.deepcopy(network)
    try:
        Channels(pruned).some(name, removed).prune()
        Channels(masked).zero_(name, removed)
        error = relative_difference(pruned, masked)
    except RuntimeError as broken:
        return GroupCheck(
            name, channels, None, f"the network breaks without its channels: {str(broken).splitlines()[0]}"
        )
    if error > TOLERANCE:
        return GroupCheck(
            name, channels, error, f"removing its channels is not zeroing them: outputs differ by {error:.1e}"
        )
    return GroupCheck(name, channels, error, None)


@torch.no_grad()
def relative_difference(one: nn.Module, other: nn.Module) -> float:
    """The largest difference of two networks' outputs, relative to the largest; infinite if shapes or numbers fail."""
    example = small_example(other)
    worst = 0.0
    for ours, theirs in zip(outputs_of(one.eval(), example), outputs_of(other.eval(), example), strict=True):
        if ours.shape != theirs.shape:
            return math.inf
        relative = ((ours - theirs).abs().max() / theirs.abs().max()).item()
        if not math.isfinite(relative):
            return math.inf
        worst = max(worst, relative)
    return worst
