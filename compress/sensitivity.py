"""What each group of channels is worth: PSNR lost when it alone is pruned, at several ratios.

Zeroing is removing (see `compress.verify`), so nothing is rebuilt; the criterion says which channels go first.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from baseline.data.loader import Batch
from baseline.progress import progress
from baseline.restorer import outputs_of
from compress.channels import Channels

RATIOS = (0.125, 0.25, 0.5, 0.75, 0.9)
"""The shares of a group's channels that are tried."""


@dataclass(frozen=True)
class Point:
    """A group pruned by itself: the ratio asked for, the share `removed` in whole channels, and what that costs.

    `psnr_loss_db`: mean over crops, against the unpruned network; negative where pruning happens to help.
    `output_change`: the mean squared change of the restored crops, values in 0..1. Never negative, and small changes of
    several groups add up in it, so it is what widths are chosen by.
    """

    ratio: float
    psnr_loss_db: float
    output_change: float
    removed: float


@dataclass(frozen=True)
class Sensitivity:
    """The curves of all prunable groups, and the conditions under which they were taken."""

    criterion: str
    crops: int
    crop: int
    psnr_db: float
    groups: dict[str, list[Point]]
    protected: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The curves as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Sensitivity":
        """The curves from their JSON."""
        groups = {name: [Point(**point) for point in points] for name, points in content["groups"].items()}
        return cls(**{**content, "groups": groups})

    def damage(self, group: str, ratio: float) -> float:
        """The output change by removing a share of a group: between the measured points on straight lines.

        Never falling: that removing more channels ever changed less is taken for chance.
        """
        worst, points = 0.0, [(0.0, 0.0)]
        for point in self.groups[group]:
            worst = max(worst, point.output_change)
            if point.removed > points[-1][0]:
                points.append((point.removed, worst))
        for (low, at_low), (high, at_high) in pairwise(points):
            if ratio <= high:
                return at_low + (at_high - at_low) * (ratio - low) / (high - low)
        (low, at_low), (high, at_high) = points[-2:]
        return at_high + at_high * (ratio - high) / (high - low)


def measure_sensitivity(
    network: nn.Module,
    channels: Channels,
    ranked: Mapping[str, Sequence[int]],
    batches: Sequence[Batch],
    ratios: Collection[float] = RATIOS,
) -> tuple[float, dict[str, list[Point]]]:
    """The unpruned PSNR on the crops in dB, and the curve of every ranked group (least important channels first)."""
    whole = _restored(network, batches)
    curves: dict[str, list[Point]] = {}
    with progress("sensitivity", len(ranked)) as shown:
        for number, (name, order) in enumerate(ranked.items(), 1):
            curves[name] = list(_curve(network, channels, name, order, batches, ratios, whole))
            shown(number, name)
    return float(_psnr(whole, batches).mean()), curves


def _curve(
    network: nn.Module,
    channels: Channels,
    name: str,
    order: Sequence[int],
    batches: Sequence[Batch],
    ratios: Collection[float],
    whole: list[Tensor],
) -> Iterator[Point]:
    before = _psnr(whole, batches)
    for ratio in sorted(ratios):
        count = min(round(len(order) * ratio), len(order) - 1)
        with channels.zeroed(network, {name: list(order[:count])}):
            restored = _restored(network, batches)
        change = torch.cat([(a - b).square().mean(dim=(1, 2, 3)) for a, b in zip(restored, whole, strict=True)])
        yield Point(
            ratio, float((before - _psnr(restored, batches)).mean()), float(change.double().mean()), count / len(order)
        )


@torch.no_grad()
def _restored(network: nn.Module, batches: Sequence[Batch]) -> list[Tensor]:
    """The finest output of every batch."""
    device = next(network.parameters()).device
    return [outputs_of(network, batch.blurred.to(device))[-1].cpu() for batch in batches]


def _psnr(restored: Sequence[Tensor], batches: Sequence[Batch]) -> Tensor:
    """The PSNR of every crop in dB, unrounded: small differences count here."""
    errors = [(r.clamp(0, 1) - b.sharp).square().mean(dim=(1, 2, 3)) for r, b in zip(restored, batches, strict=True)]
    return -10 * torch.log10(torch.cat(errors).double().clamp(min=1e-10))
