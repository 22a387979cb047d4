"""What a network would cost with fewer channels, without building it: every layer's price from its own widths."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from compress.channels import Channels, Side
from compress.cost import count_macs, deployed_params, used_parameters

Widths = Mapping[str, int]
"""A group's name -> the channels that it keeps."""


@dataclass(frozen=True)
class Layer:
    """A deployed layer with weights at one picture size: its unpruned widths, its grids, and what it costs unpruned.

    `input_grid` and `output_grid` are height and width; of tokens, their number and one.
    `single`: one width, as depthwise layers and norms have. Weights that several layers share are the first one's.
    """

    name: str
    module: nn.Module
    in_channels: int
    out_channels: int
    single: bool
    input_grid: tuple[int, int]
    output_grid: tuple[int, int]
    weight_params: int
    bias_params: int
    macs: int
    calls: int = 1

    def share(self, kept_in: int, kept_out: int) -> float:
        """The share of the weights that is left."""
        by_out = kept_out / self.out_channels
        return by_out if self.single else by_out * kept_in / self.in_channels


Price = Callable[[Layer, int, int], float]
"""A layer and the channels that it would keep going in and coming out -> what it would cost."""


def params_price(layer: Layer, kept_in: int, kept_out: int) -> float:
    """Parameters."""
    return layer.weight_params * layer.share(kept_in, kept_out) + layer.bias_params * kept_out / layer.out_channels


def macs_price(layer: Layer, kept_in: int, kept_out: int) -> float:
    """Multiply-adds of one picture."""
    return layer.macs * layer.share(kept_in, kept_out)


def elements_price(layer: Layer, kept_in: int, kept_out: int) -> float:
    """Elements of the layer's output: what element-wise work, resizing and joining after it go by."""
    del kept_in
    return float(kept_out * layer.output_grid[0] * layer.output_grid[1])


class PricedNetwork:
    """The deployed layers of a network at one size, and which of their sides each group narrows.

    `uncounted`: operators that its MACs leave out, with their number.
    """

    def __init__(self, network: nn.Module, channels: Channels, size: tuple[int, int]) -> None:
        self.channels = channels
        self.size = size
        self.layers = _deployed_layers(network, size, channels.bare_parameters)
        macs, self.uncounted = count_macs(network, size)
        self.macs_elsewhere = macs - sum(layer.macs for layer in self.layers.values())
        self.params_elsewhere = deployed_params(network) - sum(
            layer.weight_params + layer.bias_params for layer in self.layers.values()
        )
        self._sides: dict[tuple[str, Side], list[tuple[str, float]]] = {}
        for group in channels.groups.values():
            for member in group.members:
                if member.layer in self.layers:
                    self._sides.setdefault((member.layer, member.side), []).append(
                        (group.name, len(member.own) / group.channels)
                    )

    @property
    def unpruned(self) -> dict[str, int]:
        """The widths of all groups as they are."""
        return {name: group.channels for name, group in self.channels.groups.items()}

    def layers_of(self, group: str) -> list[Layer]:
        """The layers that a group narrows on either side."""
        names = dict.fromkeys(member.layer for member in self.channels.groups[group].members)
        return [self.layers[name] for name in names if name in self.layers]

    def kept(self, layer: Layer, widths: Widths) -> tuple[int, int]:
        """The channels that a layer keeps going in and coming out; groups that are not named keep theirs."""
        kept_in = layer.in_channels - self._lost(layer.name, "in", widths)
        kept_out = layer.out_channels - self._lost(layer.name, "out", widths)
        return (kept_out if layer.single else kept_in), kept_out

    def total(self, widths: Widths, price: Price) -> float:
        """What all layers would cost together."""
        return sum(price(layer, *self.kept(layer, widths)) for layer in self.layers.values())

    def _lost(self, layer: str, side: Side, widths: Widths) -> int:
        groups = self.channels.groups
        return round(
            sum(
                times * (groups[name].channels - widths.get(name, groups[name].channels))
                for name, times in self._sides.get((layer, side), ())
            )
        )


def _deployed_layers(network: nn.Module, size: tuple[int, int], bare: Mapping[str, int]) -> dict[str, Layer]:
    """Every layer with weights of its own that the finest output depends on, and every such bare parameter."""
    used = used_parameters(network)
    found = {name: _bare(network, name, dim) for name, dim in bare.items() if name in used}
    own = _own_parameters(network, used - set(bare))

    def note(name: str, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: object) -> None:
        pictures = [value for value in (*given, *named.values()) if isinstance(value, Tensor)]
        if pictures and isinstance(output, Tensor):
            layer, before = _layer(name, module, own[name], pictures[0], output), found.get(name)
            # A layer that is called again costs again, by what it is given then.
            found[name] = replace(before, calls=before.calls + 1, macs=before.macs + layer.macs) if before else layer

    hooks = [
        network.get_submodule(name).register_forward_hook(
            lambda m, i, n, o, name=name: note(name, m, i, n, o), with_kwargs=True
        )
        for name in own
    ]
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, *size, device=next(network.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _own_parameters(network: nn.Module, names: Collection[str]) -> dict[str, list[Parameter]]:
    """The layers that have any of these parameters, each with those that no layer before it has."""
    wanted = {id(network.get_parameter(name)) for name in names}
    own: dict[str, list[Parameter]] = {}
    counted: set[int] = set()
    for name, module in network.named_modules():
        found = {id(p): p for p in module.parameters(recurse=False) if id(p) in wanted}
        if found:
            own[name] = [parameter for key, parameter in found.items() if key not in counted]
            counted |= found.keys()
    return own


def _bare(network: nn.Module, name: str, dim: int) -> Layer:
    """A parameter of a block's own as a layer that computes nothing."""
    parameter = network.get_parameter(name)
    width, owner = parameter.shape[dim], network.get_submodule(name.rpartition(".")[0])
    return Layer(name, owner, width, width, True, (1, 1), (1, 1), parameter.numel(), 0, 0)


def _layer(name: str, module: nn.Module, own: Collection[Parameter], given: Tensor, output: Tensor) -> Layer:
    weight = getattr(module, "weight", None)
    multiplied = weight.numel() if isinstance(module, _ConvNd | nn.Linear) and isinstance(weight, Tensor) else 0
    channels_first = isinstance(module, _ConvNd | _NormBase | nn.GroupNorm | nn.PReLU)
    last = isinstance(module, nn.Linear | nn.LayerNorm) or (output.dim() != 4 and not channels_first)
    channels = output.shape[-1] if last else output.shape[1]
    input_grid, output_grid = _grid(given, last), _grid(output, last)
    grid = input_grid if isinstance(module, _ConvTransposeNd) else output_grid
    in_channels = int(getattr(module, "in_channels", getattr(module, "in_features", channels)))
    weight_params = sum(parameter.numel() for parameter in own if parameter is weight)
    return Layer(
        name=name,
        module=module,
        in_channels=in_channels,
        out_channels=channels,
        single=not multiplied or getattr(module, "groups", 1) == in_channels == channels > 1,
        input_grid=input_grid,
        output_grid=output_grid,
        weight_params=weight_params,
        bias_params=sum(parameter.numel() for parameter in own) - weight_params,
        macs=multiplied * grid[0] * grid[1],
    )


def _grid(tensor: Tensor, channels_last: bool) -> tuple[int, int]:
    if tensor.dim() == 4 and not channels_last:
        return tensor.shape[-2], tensor.shape[-1]
    return (tensor[..., 0] if channels_last else tensor[:, 0]).numel(), 1
