"""What data say of channels: derivatives at their gates.

A gate is a factor of one in front of all that produces a channel. Zeroing the channel is closing its gate, so the
derivative of a number at the gate is, to first order, what that number loses with the channel.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from baseline.data.loader import Batch
from baseline.losses import supervised
from baseline.restorer import outputs_of
from baseline.settings import LossSettings
from compress.channels import ChannelGroup, Channels, Member

_PROBES = 2
"""Random probes of each crop's output."""


def training_losses(network: nn.Module, batches: Sequence[Batch]) -> Iterator[Tensor]:
    """The supervised training loss of each crop."""
    loss = supervised(LossSettings())
    for batch in _crop_by_crop(network, batches):
        yield torch.stack(list(loss(outputs_of(network, batch.blurred), batch).values())).sum()


def probed_outputs(network: nn.Module, batches: Sequence[Batch]) -> Iterator[Tensor]:
    """Sums of each crop's finest output under random signs, scaled so that their mean square is the mean over pixels.

    The expected square of such a sum's derivative is the mean squared derivative of the output's pixels.
    """
    generator = torch.Generator().manual_seed(0)
    for batch in _crop_by_crop(network, batches):
        for _ in range(_PROBES):
            output = outputs_of(network, batch.blurred)[-1]
            signs = torch.randint(0, 2, output.shape, generator=generator).to(output) * 2 - 1
            yield (output * signs).sum() / output.numel() ** 0.5


def mean_of_gates(
    network: nn.Module,
    channels: Channels,
    names: Collection[str],
    values: Iterable[Tensor],
    magnitude: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    """The mean over `values` of the magnitude of each one's derivative at every channel's gate, by group."""
    groups = [channels.groups[name] for name in names]
    sums = {group.name: torch.zeros(group.channels) for group in groups}
    count = 0
    for value in values:
        network.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        for group in groups:
            sums[group.name] += magnitude(_gate_derivatives(network, channels, group))
        count += 1
    network.zero_grad(set_to_none=True)
    return {name: total / count for name, total in sums.items()}


def _gate_derivatives(network: nn.Module, channels: Channels, group: ChannelGroup) -> Tensor:
    """The derivative at each channel's gate: weights times gradients, summed over all that produces the channel."""
    derivatives = torch.zeros(group.channels)
    for member in group.producers():
        own, root = torch.tensor(member.own), torch.tensor(member.root)
        for tensor, dim in channels.producing(network, member):
            # A depthwise layer passes on what its group's other layers made: its weight is their share once more.
            if tensor.grad is not None and not (tensor.dim() == 4 and _is_depthwise(network, channels, member)):
                products = (tensor.detach() * tensor.grad).transpose(0, dim).reshape(tensor.shape[dim], -1)
                derivatives.index_add_(0, root, products.sum(1).cpu()[own])
    return derivatives


def _is_depthwise(network: nn.Module, channels: Channels, member: Member) -> bool:
    if member.layer in channels.bare_parameters:
        return False
    layer = network.get_submodule(member.layer)
    return isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.groups == layer.in_channels > 1


def _crop_by_crop(network: nn.Module, batches: Sequence[Batch]) -> Iterator[Batch]:
    """Each crop as a batch of one, so that derivatives are those of single crops, on the network's device."""
    device = next(network.parameters()).device
    for batch in batches:
        for blurred, sharp in zip(torch.split(batch.blurred, 1), torch.split(batch.sharp, 1), strict=True):
            yield Batch(blurred.to(device), sharp.to(device))
