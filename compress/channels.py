"""Which channels of a network go together, and removing or zeroing them.

torch-pruning finds the groups. What it finds is kept as plain indices of the unpruned layers, so that removing the
channels of several groups at once is one cut a layer, whatever the order, and can be done to any copy of the network.
"""

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch_pruning.dependency import Group

from baseline.errors import UserError, named_line
from compress.channel_parts import map_parts_
from compress.trial import layers_run_sometimes, run_once, small_example

Side = Literal["out", "in"]

Removal = Mapping[str, list[int]]
"""A group's name -> the channels of its root layer to remove, of a gate's the pairs by the number of their product."""

ROOT_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class Member:
    """A side of a layer (or a bare parameter) in a group: its channel `own[i]` goes with the root's `root[i]`."""

    layer: str
    side: Side
    own: tuple[int, ...]
    root: tuple[int, ...]

    def matching(self, removed: set[int]) -> set[int]:
        """The own channels that go with removed channels of the root."""
        return {own for own, root in zip(self.own, self.root, strict=True) if root in removed}


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that can only go together, by the name of the layer that roots the group.

    `channels`: how many there are, of a gate the pairs. `raw` is torch-pruning's own form of it. `broken` says why the
    group could not be followed through the network, or why one of its layers cannot be cut.
    """

    name: str
    channels: int
    members: tuple[Member, ...]
    raw: Group | None
    feeds_output: bool = False
    broken: str | None = None

    def producers(self) -> list[Member]:
        """The members that produce the channels, so that zeroing them is zeroing the channels."""
        return [member for member in self.members if member.side == "out"]


class Channels:
    """The groups of a network. Building it turns all gradients on and the network to eval mode.

    What was frozen is frozen again in whatever channels are removed from. `idle`: layers that belong to no group, since
    they are not run in eval mode, or for some images only, with their output channels and that reason. `sometimes`: the
    layers that are run for some images only, with these.
    """

    def __init__(self, network: nn.Module) -> None:
        self._fixed = _shared_weights(network) | _reparametrized(network)
        run_once(network.eval())  # torch-pruning's words for one that does not run would mislead
        self._frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
        for parameter in network.parameters():
            # A frozen layer has no gradient history, and torch-pruning would leave it out of the graph.
            parameter.requires_grad_(True)
        try:
            # A tuple: a bare batch of one may be traced without its batch dimension.
            self._graph = tp.DependencyGraph().build_dependency(
                network.eval(), example_inputs=(small_example(network),), verbose=False
            )
            map_parts_(self._graph)
        except Exception as error:
            raise UserError(
                "the network must be one whose channels torch-pruning can follow; it fails with "
                f"{named_line(error)}. "
                "Choose another method."
            ) from error
        self._names = {layer: name for name, layer in network.named_modules()}
        self._parameters = {id(parameter): name for name, parameter in network.named_parameters()}
        self.bare_parameters = {self._parameters[id(p)]: dim for p, dim in self._graph.unwrapped_parameters}
        self.groups = self._find()
        self.sometimes = layers_run_sometimes(network)
        self.idle = {
            name: (int(self._graph.get_pruner_of_module(layer).get_out_channels(layer)), self._why_idle(name))
            for layer, name in self._names.items()
            if isinstance(layer, ROOT_LAYERS) and layer not in self._graph.module2node
        }

    def _why_idle(self, name: str) -> str:
        if name in self.sometimes:
            return f"it is run for some images only ({', '.join(self.sometimes[name])})"
        return "it is not run when pictures are restored"

    def members_cut(self, removal: Removal) -> dict[tuple[str, Side], set[int]]:
        """Every side of a layer that loses channels, with their indices in the unpruned layer."""
        cut: dict[tuple[str, Side], set[int]] = {}
        for name, indices in removal.items():
            for member in self.groups[name].members if indices else ():
                cut.setdefault((member.layer, member.side), set()).update(member.matching(set(indices)))
        return {place: own for place, own in cut.items() if own}

    def remove_(self, network: nn.Module, removal: Removal) -> None:
        """Remove channels, and all that depends on them, in place from the network or an unpruned copy of it."""
        for (name, side), own in self.members_cut(removal).items():
            if name in self.bare_parameters:
                _shorten_parameter_(network, name, self.bare_parameters[name], own)
            else:
                layer = network.get_submodule(name)
                pruner = self._graph.get_pruner_of_module(layer)
                prune = pruner.prune_out_channels if side == "out" else pruner.prune_in_channels
                prune(layer, sorted(own))
        for name in self._frozen:
            network.get_parameter(name).requires_grad_(False)

    @contextmanager
    def cut(self, network: nn.Module, removal: Removal) -> Iterator[None]:
        """The network with these channels removed for a while; its layers are then put back as they were."""
        owners = [
            name.rpartition(".")[0] if name in self.bare_parameters else name for name, _ in self.members_cut(removal)
        ]
        layers = [network.get_submodule(name) for name in dict.fromkeys(owners)]
        # What is removed makes new tensors, so that the old ones need no copies.
        before = [{k: copy.copy(v) if isinstance(v, dict) else v for k, v in vars(layer).items()} for layer in layers]
        try:
            self.remove_(network, removal)
            yield
        finally:
            for layer, state in zip(layers, before, strict=True):
                vars(layer).clear()
                vars(layer).update(state)

    def zero_(self, network: nn.Module, removal: Removal) -> None:
        """Zero, in place, whatever produces these channels, but nothing that consumes them."""
        for tensor, dim, own in self._producing(network, removal):
            tensor.data.index_fill_(dim, own, 0.0)

    @contextmanager
    def zeroed(self, network: nn.Module, removal: Removal) -> Iterator[None]:
        """The network without these channels for a while; its weights are then put back, bit for bit."""
        kept = [(tensor, tensor.detach().clone()) for tensor, _, _ in self._producing(network, removal)]
        try:
            self.zero_(network, removal)
            yield
        finally:
            for tensor, before in kept:
                tensor.data.copy_(before)

    def producing(self, network: nn.Module, member: Member) -> Iterator[tuple[Tensor, int]]:
        """The tensors by which a member produces its channels, each with the dimension that counts them."""
        if member.layer in self.bare_parameters:
            yield network.get_parameter(member.layer), self.bare_parameters[member.layer]
            return
        layer = network.get_submodule(member.layer)
        for name, parameter in layer.named_parameters(recurse=False):
            # A transposed weight counts its output channels second, but for a depthwise one.
            yield parameter, int(isinstance(layer, nn.ConvTranspose2d) and name == "weight" and layer.groups == 1)

    def _producing(self, network: nn.Module, removal: Removal) -> Iterator[tuple[Tensor, int, Tensor]]:
        for name, indices in removal.items():
            for member in self.groups[name].producers() if indices else ():
                own = torch.tensor(sorted(member.matching(set(indices))), dtype=torch.long)
                for tensor, dim in self.producing(network, member):
                    yield tensor, dim, own.to(tensor.device)

    def _find(self) -> dict[str, ChannelGroup]:
        """Every group of output channels, whole, in the network's order. A root that fails is only one that fails."""
        found: dict[str, ChannelGroup] = {}
        covered: set[str] = set()
        for layer in [module for module in self._graph.module2node if isinstance(module, ROOT_LAYERS)]:
            name = self._names[layer]
            if name in covered:
                continue
            found[name] = self._group(name, layer)
            covered |= {member.layer for member in found[name].producers()}
        order = list(self._names.values())
        return dict(sorted(found.items(), key=lambda entry: order.index(entry[0])))

    def _group(self, name: str, layer: nn.Module) -> ChannelGroup:
        pruner = self._graph.get_pruner_of_module(layer)
        channels = int(pruner.get_out_channels(layer))
        try:
            raw = self._graph.get_pruning_group(layer, pruner.prune_out_channels, list(range(channels)))
            raw = self._tied(raw) or raw
        except Exception as error:  # noqa: BLE001  torch-pruning fails on some structures in ways of its own
            own = Member(name, "out", tuple(range(channels)), tuple(range(channels)))
            reason = f"torch-pruning cannot follow it: {type(error).__name__} {error}".strip()
            return ChannelGroup(name, channels, (own,), None, broken=reason)
        counted, channels = channels, len(raw.items[0].idxs)
        if channels > counted:
            own = Member(name, "out", tuple(range(counted)), tuple(range(counted)))
            reason = f"torch-pruning cannot follow it: of {counted} channels it counts {channels}"
            return ChannelGroup(name, counted, (own,), None, broken=reason)
        members = [
            Member(self._name_of(item.dep.target.module), self._side(item.dep), tuple(item.idxs), tuple(item.root_idxs))
            for item in raw.items
            if isinstance(item.dep.target.module, nn.Parameter) or item.dep.target.module in self._names
        ]
        output = any(dependency.target.name.startswith("_OutputOp") for dependency, _ in raw)
        return ChannelGroup(
            name, channels, tuple(members), raw, feeds_output=output, broken=self._why_fixed(name, members)
        )

    def _tied(self, raw: Group) -> Group | None:
        """The same group with one channel for two that a gate multiplies; None if it holds no such gate.

        torch-pruning counts the root's channels as if each could go alone. Followed from a layer that takes the gate's
        products, and has a channel for every pair, the two go together.
        """
        whole = raw.items[0]
        for item in raw.items[1:]:
            taker = item.dep.target.module
            if self._side(item.dep) == "out" or not isinstance(taker, ROOT_LAYERS):
                continue
            pruner = self._graph.get_pruner_of_module(taker)
            taken = sorted(set(item.idxs))  # of some gates, torch-pruning counts each product twice
            if len(taken) == pruner.get_in_channels(taker) < len(whole.idxs):
                tied = self._graph.get_pruning_group(taker, pruner.prune_in_channels, taken)
                if any(own.dep.target is whole.dep.target and set(own.idxs) == set(whole.idxs) for own in tied.items):
                    return tied
        return None

    def _why_fixed(self, group: str, members: list[Member]) -> str | None:
        """Why the group must keep its channels though they could be followed: a layer in it cannot be cut."""
        layer = next((member.layer for member in members if member.layer in self._fixed), None)
        if layer is None:
            return None
        return self._fixed[layer] if layer == group else f"{layer} goes with it, and {self._fixed[layer]}"

    def _name_of(self, target: nn.Module | nn.Parameter) -> str:
        return self._parameters[id(target)] if isinstance(target, nn.Parameter) else self._names[target]

    def _side(self, dependency: tp.dependency.Dependency) -> Side:
        """Depthwise layers and norms have one width: what cuts their input cuts their output."""
        return "out" if self._graph.is_out_channel_pruning_fn(dependency.handler) else "in"


def _shared_weights(network: nn.Module) -> dict[str, str]:
    """Layers (and parameters) whose weights another layer has, too, and the reason not to cut one of them alone."""
    owners: dict[int, list[str]] = {}
    for layer, module in network.named_modules():
        for parameter in dict.fromkeys(module.parameters(recurse=False)):
            owners.setdefault(id(parameter), []).append(layer)
    fixed: dict[str, str] = {}
    for name, parameter in network.named_parameters():
        sharing = owners[id(parameter)]
        for layer in sharing if len(sharing) > 1 else ():
            other = next(one for one in sharing if one != layer) or "the network itself"
            fixed[layer] = fixed[name] = f"its weights are shared with {other}"
    return fixed


def _reparametrized(network: nn.Module) -> dict[str, str]:
    """Layers whose weights are computed from other tensors, which torch-pruning does not cut, and by what."""
    fixed: dict[str, str] = {}
    for name, layer in network.named_modules():
        if parametrize.is_parametrized(layer):
            steps = [step for steps in layer.parametrizations.children() for step in steps.children()]
            fixed[name] = f"it is reparametrized ({_kinds(steps)})"
        elif isinstance(vars(layer).get("weight"), Tensor):
            raise UserError(
                f"the network must be one that can be copied; the weights of {name} are computed in a hook "
                f"({_kinds(layer._forward_pre_hooks.values())}) and cannot. "
                "Use torch.nn.utils.parametrizations, or make them permanent."
            )
    return fixed


def _kinds(steps: Iterable[object]) -> str:
    """What torch calls what these do: `weight_norm`."""
    names = (type(step).__name__.strip("_") for step in steps)
    return ", ".join(dict.fromkeys(re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in names))


def removed(network: nn.Module, channels: Channels, removal: Removal) -> nn.Module:
    """The network without these channels. What is not cut is shared with it: train or change only one of the two."""
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    pruned = copy.deepcopy(network, shared)
    channels.remove_(pruned, removal)
    return pruned


def _shorten_parameter_(network: nn.Module, name: str, dim: int, own: set[int]) -> None:
    """Remove entries of a parameter that belongs to no layer that torch-pruning knows."""
    parameter = network.get_parameter(name)
    kept = [i for i in range(parameter.shape[dim]) if i not in own]
    chosen = torch.tensor(kept, dtype=torch.long, device=parameter.device)
    owner, _, last = name.rpartition(".")
    setattr(network.get_submodule(owner), last, nn.Parameter(parameter.data.index_select(dim, chosen)))
