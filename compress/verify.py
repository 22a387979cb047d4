"""Is pruning exact? For each dependency group: remove channels from a copy, zero the same ones in another, compare.

Both are computed in double precision, and their difference is judged against what the zeroing changed: a network that
attenuates what happens in its depths would hide a wrong cut from a comparison with the outputs themselves.
"""

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from baseline.errors import UserError, first_line
from baseline.restorer import outputs_of
from compress.channels import ChannelGroup, Channels, Removal
from compress.trial import probes

TOLERANCE = 1e-5
"""Largest difference between removing and zeroing, relative to what zeroing changes. Exact removals reach 1e-12."""

_BATCH = 3
"""How many of the probes go together where the network is trained: norms need several."""

_NOISE = 1e-12
"""What reordered sums in double precision may differ by, relative to the outputs."""


@dataclass(frozen=True)
class GroupCheck:
    """A dependency group by the name of its root layer, its channels, and why it must not be pruned, if it must not.

    `relative_error`: between removing and zeroing, relative to what zeroing changes; None if nothing was compared.
    `with_layers`: what else loses channels with the root: layers that produce them too, or take them.
    """

    name: str
    channels: int
    relative_error: float | None
    protected_because: str | None
    with_layers: tuple[str, ...] = ()


def check_groups(network: nn.Module, channels: Channels | None = None) -> list[GroupCheck]:
    """Check each group of the network by removing several choices of its channels, on several pictures.

    A single choice could agree by accident: every second channel is a symmetric one for a gate of two halves, and where
    a largest value is taken over many channels, one that is left may always be the largest. So could a single picture:
    in the light, that largest value is never below zero.

    Layers that are not run when pictures are restored, as those of losses in training, belong to no group: protected.
    """
    found = channels or Channels(network)
    probe = _Probe(network, found)
    idle = [GroupCheck(name, n, None, reason) for name, (n, reason) in found.idle.items()]
    return [_check(probe, group) for group in found.groups.values()] + idle


def error_of_removing(network: nn.Module, channels: Channels, removal: Removal) -> float:
    """The relative error, as in `GroupCheck`, of removing channels of several groups at once."""
    return _Probe(network, channels).error(removal)


def not_exact_together(network: nn.Module, channels: Channels, removal: Removal) -> tuple[dict[str, str], float | None]:
    """The groups to leave out, with the reason, for all others to be removed exactly at once; and the others' error."""
    probe = _Probe(network, channels)
    reason, error = _judged(probe, removal)
    if reason is None:
        return {}, error
    left_out: dict[str, str] = {}
    kept: dict[str, list[int]] = {}
    error = None
    for name, indices in removal.items():
        reason, now = _judged(probe, {**kept, name: indices})
        if reason is None:
            kept[name], error = indices, now
        else:
            left_out[name] = f"with the channels chosen here, {reason}"
    return left_out, error


def check_runs(network: nn.Module, channels: Channels, removal: Removal, size: tuple[int, int]) -> None:
    """A UserError if the network breaks without these channels at height x width: groups are looked at in the small."""
    example = torch.zeros(1, 3, *size, device=next(network.parameters()).device)
    try:
        with channels.cut(network, removal), torch.no_grad():
            network.eval()(example)
    except Exception as broken:
        raise UserError(
            f"the network must run the same layers at all sizes; without the planned channels it breaks at "
            f"{size[0]}x{size[1]}: {first_line(broken)}. Choose another method."
        ) from broken


class _Probe:
    """A copy of the network in double precision, and its outputs."""

    def __init__(self, network: nn.Module, channels: Channels) -> None:
        self.channels = channels
        try:
            self._network: nn.Module = _disturbed(network)
            images = list(probes(self._network).values())
            # One by one where a network chooses its layers by what it sees; otherwise together, which is faster.
            self._images = images if channels.sometimes else [torch.cat(images[:_BATCH])]
            self._whole = self._outputs()
            again = self._outputs()
        except RuntimeError as error:
            raise UserError(
                "the network must run in double precision too, in which pruning is checked; it "
                f"fails with '{first_line(error)}'. Create tensors in forward with the input's dtype."
            ) from error
        apart = max(float((a - b).abs().max()) for a, b in zip(self._whole, again, strict=True))
        if apart > _NOISE * max(float(output.abs().max()) for output in self._whole):
            raise UserError(
                "the network must restore a picture the same way each time; two runs in eval mode differ by "
                f"{apart:.1e}. Let its forward draw random numbers only while self.training."
            )
        self._trains = self._breaks_in_training() is None

    def error(self, removal: Removal) -> float:
        """How far removing is from zeroing; infinite if an output changes its shape, NaN if nothing can be told."""
        with self.channels.cut(self._network, removal):
            got = self._outputs()
        if [output.shape for output in got] != [output.shape for output in self._whole]:
            return math.inf
        with self.channels.zeroed(self._network, removal):
            masked = self._outputs()
        errors = list(map(_relative_error, got, masked, self._whole))
        return math.nan if any(map(math.isnan, errors)) else max(errors)

    def layers(self) -> dict[str, nn.Module]:
        """The layers of the copy by their names."""
        return dict(self._network.named_modules())

    def breaks_in_training(self, removal: Removal) -> str | None:
        """What the network says if it can no longer be trained: layers that only losses see may need the channels."""
        if not self._trains:
            return None
        with self.channels.cut(self._network, removal):
            return self._breaks_in_training()

    @torch.no_grad()
    def _breaks_in_training(self) -> str | None:
        trained = copy.deepcopy(self._network).train()  # its norms take statistics
        try:
            with torch.random.fork_rng():
                trained(torch.cat(self._images[:_BATCH]))
        except Exception as broken:  # noqa: BLE001  whatever a foreign network says when it breaks is the reason
            return first_line(broken)
        return None

    @torch.no_grad()
    def _outputs(self) -> list[Tensor]:
        # Copies, since a network may change what it is given.
        network = self._network.eval()
        return [output for image in self._images for output in outputs_of(network, image.clone())]


def _relative_error(removed_output: Tensor, masked: Tensor, whole: Tensor) -> float:
    """The largest over the pictures, each judged by itself: what differs in the dark is small beside the light."""
    noise = _NOISE * _largest(whole).clamp(min=1e-100)
    apart, effect = _largest(masked - removed_output), _largest(masked - whole)
    if not (apart.isfinite() & effect.isfinite()).all():
        return math.nan
    return float(torch.where(apart > noise, apart / torch.maximum(effect, noise), 0.0).max())


def _largest(output: Tensor) -> Tensor:
    """The largest absolute value of each picture."""
    return output.abs().flatten(1).amax(dim=1)


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
    others = tuple(dict.fromkeys(member.layer for member in group.members if member.layer != group.name))

    def protected(reason: str, error: float | None = None) -> GroupCheck:
        return GroupCheck(group.name, group.channels, error, reason, others)

    if group.feeds_output:
        return protected("its channels are those of an output")
    if group.broken is not None:
        return protected(group.broken)
    if group.channels < 2:
        return protected("it has one channel")
    worst = 0.0
    for indices in _choices(group.channels):
        reason, error = _judged(probe, {group.name: indices})
        if reason is not None:
            return protected(reason, error)
        worst = max(worst, error or 0.0)
    return GroupCheck(group.name, group.channels, worst, None, others)


def _choices(channels: int) -> list[list[int]]:
    """Every second channel and those between, the first third, and all but the first tenth."""
    some = (range(0, channels, 2), range(1, channels, 2), range(max(1, channels // 3)))
    most = range(max(1, channels // 10), channels)
    return [list(indices) for indices in dict.fromkeys((*map(tuple, some), tuple(most)))]


def _judged(probe: _Probe, removal: Removal) -> tuple[str | None, float | None]:
    """Why these channels must not be removed, if they must not, and the relative error, if there is one."""
    try:
        error = probe.error(removal)
    except Exception as broken:  # noqa: BLE001  whatever a foreign network says when it breaks is the reason
        return _why_broken(probe, removal, broken), None
    if math.isnan(error):
        return "the network's outputs are not finite numbers", None
    if math.isinf(error):
        return "its channels are those of an output", None
    if error > TOLERANCE:
        return f"removing its channels is not zeroing them: outputs differ by {error:.1e}", error
    broken_in_training = probe.breaks_in_training(removal)
    if broken_in_training is not None:
        return f"the network could not be trained without its channels: {broken_in_training}", None
    return None, error


def _why_broken(probe: _Probe, removal: Removal, broken: Exception) -> str:
    """What the network says names a symptom; a convolution in groups is the cause that is known."""
    cut = {name for name, _ in probe.channels.members_cut(removal)}
    for name, layer in probe.layers().items():
        if name in cut and 1 < getattr(layer, "groups", 1) < getattr(layer, "in_channels", 1):
            return f"{name} is a convolution in {layer.groups} groups, which cannot lose these channels"
    if probe.channels.sometimes:
        name, kinds = min(probe.channels.sometimes.items(), key=lambda entry: len(entry[1]))
        return (
            f"the network breaks without its channels, for it chooses its layers by the image ({name} is run for some "
            f"only: {', '.join(kinds)}): {first_line(broken)}"
        )
    return f"the network breaks without its channels: {first_line(broken)}"
