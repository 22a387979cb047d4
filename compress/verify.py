"""Is pruning exact? For each dependency group: remove channels from a copy, zero the same ones in another, compare.

Both are computed in double precision, and their difference is judged against what the zeroing changed: a network that
attenuates what happens in its depths would hide a wrong cut from a comparison with the outputs themselves.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baseline.errors import UserError
from baseline.restorer import outputs_of
from compress.channels import ChannelGroup, Channels, Removal, removed, small_example

TOLERANCE = 1e-5
"""Largest difference between removing and zeroing, relative to what zeroing changes. Exact removals reach 1e-12."""

_NOISE = 1e-12
"""What reordered sums in double precision may differ by, relative to the outputs."""


@dataclass(frozen=True)
class GroupCheck:
    """A dependency group by the name of its root layer, its channels, and why it must not be pruned, if it must not.

    `relative_error`: between removing and zeroing, relative to what zeroing changes; None if nothing was compared.
    """

    name: str
    channels: int
    relative_error: float | None
    protected_because: str | None


def check_groups(network: nn.Module, channels: Channels | None = None) -> list[GroupCheck]:
    """Check each group of the network by removing every second of its channels, and then its first third.

    A single pattern could agree by accident: every second channel is a symmetric choice for a gate of two halves.
    """
    found = channels or Channels(network)
    probe = _Probe(network, found)
    return [_check(probe, group) for group in found.groups.values()]


def error_of_removing(network: nn.Module, channels: Channels, removal: Removal) -> float:
    """The relative error, as in `GroupCheck`, of removing channels of several groups at once."""
    return _Probe(network, channels).error(removal)


class _Probe:
    """A copy of the network in double precision, and its outputs."""

    def __init__(self, network: nn.Module, channels: Channels) -> None:
        self.channels = channels
        try:
            self._network = _disturbed(network)
            self._whole = _outputs(self._network)
        except RuntimeError as error:
            raise UserError(
                "the network must run in double precision too, in which pruning is checked; it fails with "
                f"'{str(error).splitlines()[0]}'. Create tensors in forward with the input's dtype."
            ) from error

    def error(self, removal: Removal) -> float:
        """How far removing is from zeroing; infinite if an output changes its shape, NaN if nothing can be told."""
        got = _outputs(removed(self._network, self.channels, removal))
        if [output.shape for output in got] != [output.shape for output in self._whole]:
            return math.inf
        with self.channels.zeroed(self._network, removal):
            masked = _outputs(self._network)
        errors = list(map(_relative_error, got, masked, self._whole))
        return math.nan if any(map(math.isnan, errors)) else max(errors)


def _relative_error(removed_output: Tensor, masked: Tensor, whole: Tensor) -> float:
    noise = _NOISE * whole.abs().max().item()
    apart, effect = ((masked - other).abs().max().item() for other in (removed_output, whole))
    if not math.isfinite(apart) or not math.isfinite(effect):
        return math.nan
    return apart / max(effect, noise) if apart > noise else 0.0


def _disturbed(network: nn.Module) -> nn.Module:
    """A copy in double precision with all weights moved a little, the same for the same network.

    Whether a cut is exact does not depend on the weights, but seeing that it is not does: behind a scale that begins
    at zero, or in a branch that has died, nothing would be seen.
    """
    disturbed = copy.deepcopy(network).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in disturbed.parameters():
        scale = parameter.detach().square().mean().sqrt().item() or 1.0
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.double)
        parameter.data += 0.1 * scale * noise.to(parameter.device)
    return disturbed


def _check(probe: _Probe, group: ChannelGroup) -> GroupCheck:
    def protected(reason: str, error: float | None = None) -> GroupCheck:
        return GroupCheck(group.name, group.channels, error, reason)

    if group.feeds_output:
        return protected("its channels are those of an output")
    if group.broken is not None:
        return protected(group.broken)
    if group.channels < 2:
        return protected("it has one channel")
    worst = 0.0
    for indices in (range(0, group.channels, 2), range(max(1, group.channels // 3))):
        try:
            error = probe.error({group.name: list(indices)})
        except Exception as broken:  # noqa: BLE001  whatever a foreign network says when it breaks is the reason
            said = (str(broken) or repr(broken)).splitlines()[0]
            return protected(f"the network breaks without its channels: {said}")
        if math.isnan(error):
            return protected("the network's outputs are not finite numbers")
        if math.isinf(error):
            return protected("its channels are those of an output")
        if error > TOLERANCE:
            return protected(f"removing its channels is not zeroing them: outputs differ by {error:.1e}", error)
        worst = max(worst, error)
    return GroupCheck(group.name, group.channels, worst, None)


@torch.no_grad()
def _outputs(network: nn.Module) -> list[Tensor]:
    return outputs_of(network.eval(), small_example(network))
