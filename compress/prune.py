"""Structured channel pruning: exact by check, to an asked share of channels, parameters or MACs."""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from baseline.errors import UserError
from compress.cost import cost, count_macs, deployed_params
from compress.criteria import CRITERIA
from compress.settings import PruneSettings
from compress.verify import TOLERANCE, Channels, GroupCheck, check_groups, relative_difference

Removal = dict[str, list[int]]
"""Root layer's name -> the indices of the channels to remove."""

_HALVINGS = 12


@dataclass(frozen=True)
class GroupWidth:
    """The channels of a group before and after."""

    name: str
    before: int
    after: int


@dataclass(frozen=True)
class PruneReport:
    """What was asked, what was achieved, and what was left alone for which reason."""

    asked: dict[str, float]
    achieved: dict[str, float]
    criterion: str
    widths: list[GroupWidth]
    protected: dict[str, str]
    largest_relative_error: float

    def as_json(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return asdict(self)


def prune_(network: nn.Module, settings: PruneSettings) -> PruneReport:
    """Remove channels in place. Groups that cannot be removed exactly are protected, with the reason in the report."""
    checks = check_groups(network)
    prunable = [check for check in checks if check.protected_because is None]
    if not prunable:
        raise UserError(
            "the network must have channels that can be removed exactly; it has none. Choose another method."
        )
    torch.manual_seed(settings.seed)
    ranked = rank_channels(network, {check.name for check in prunable}, settings.criterion)
    before = cost(network)
    ratio = settings.ratio if settings.ratio is not None else _solve(network, ranked, settings)
    removal = to_remove(ranked, ratio)
    if not any(removal.values()):
        raise UserError(f"pruning must remove at least one channel; ratio {ratio:g} removes none. Ask for more.")
    masked = copy.deepcopy(network)
    zero_channels_(masked, removal)
    remove_channels_(network, removal)
    together = relative_difference(network, masked)
    if together > TOLERANCE:
        raise RuntimeError(f"groups that are exact one by one are not exact together: outputs differ by {together:.1e}")
    after = cost(network)
    return PruneReport(
        asked=settings.model_dump(include={"ratio", "params_cut", "macs_cut"}, exclude_none=True),
        achieved={
            "ratio": _share_removed(removal, ranked),
            "params_cut": 1 - after.params / before.params,
            "macs_cut": 1 - after.macs / before.macs,
        },
        criterion=settings.criterion,
        widths=[GroupWidth(c.name, c.channels, c.channels - len(removal[c.name])) for c in prunable],
        protected={c.name: c.protected_because for c in checks if c.protected_because is not None},
        largest_relative_error=max(together, *_errors(prunable)),
    )


def rank_channels(network: nn.Module, names: set[str], criterion: str) -> Removal:
    """The channels of each named group, the least important first."""
    importance = CRITERIA[criterion]()
    groups = Channels(network).groups()
    return {name: importance(groups[name]).argsort(stable=True).tolist() for name in groups if name in names}


def to_remove(ranked: Removal, ratio: float) -> Removal:
    """The least important channels: the same share of every group, rounded to the nearest number, one channel kept."""
    return {name: order[: min(int(len(order) * ratio + 0.5), len(order) - 1)] for name, order in ranked.items()}


def remove_channels_(network: nn.Module, removal: Removal) -> None:
    """Remove channels and all that depends on them, in place."""
    channels = Channels(network)
    for name, indices in removal.items():
        if indices:
            channels.some(name, indices).prune()


def zero_channels_(network: nn.Module, removal: Removal) -> None:
    """Zero, in place, what produces the channels that `remove_channels_` would remove."""
    channels = Channels(network)
    for name, indices in removal.items():
        if indices:
            channels.zero_(name, indices)


def _solve(network: nn.Module, ranked: Removal, settings: PruneSettings) -> float:
    """The ratio of channels whose removal comes nearest to the asked cut of parameters or MACs."""
    count: Callable[[nn.Module], int]
    if settings.params_cut is not None:
        what, asked, count = "params_cut", settings.params_cut, deployed_params
    else:
        what, asked, count = "macs_cut", settings.macs_cut or 0.0, lambda candidate: count_macs(candidate)[0]
    whole = count(network)

    def achieved(ratio: float) -> float:
        candidate = copy.deepcopy(network)
        remove_channels_(candidate, to_remove(ranked, ratio))
        return 1 - count(candidate) / whole

    low, high = 0.0, 1.0
    most = achieved(high)
    if most < asked:
        raise UserError(f"{what} must be at most {most:.3f} for this network; got {asked}. Ask for less.")
    tried = {high: most}
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried[middle] = achieved(middle)
        low, high = (middle, high) if tried[middle] < asked else (low, middle)
    return min(tried, key=lambda ratio: abs(tried[ratio] - asked))


def _share_removed(removal: Removal, ranked: Removal) -> float:
    return sum(map(len, removal.values())) / sum(map(len, ranked.values()))


def _errors(checks: list[GroupCheck]) -> list[float]:
    return [check.relative_error for check in checks if check.relative_error is not None]
