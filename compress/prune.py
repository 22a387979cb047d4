"""Structured channel pruning: exact by check, to an asked cut of channels, parameters, MACs or measured latency."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from baseline.data.loader import Batch
from baseline.errors import UserError
from baseline.restorer import size_for
from compress.channels import Channels
from compress.cost import cost
from compress.criteria import CRITERIA
from compress.layer_latency import LayerLatency
from compress.pricing import PricedNetwork, macs_price, params_price
from compress.pruning_settings import SENSITIVITY_CROPS, PruneSettings
from compress.sensitivity import Sensitivity, measure_sensitivity
from compress.verify import GroupCheck, check_groups, check_runs, not_exact_together
from compress.widths import ALLOCATIONS, Budget, ChannelBudget, Chosen, LayerBudget, Task


@dataclass(frozen=True)
class GroupWidth:
    """The channels of a group: before, as they were asked for, and as they are left."""

    name: str
    before: int
    asked: float
    after: int


@dataclass(frozen=True)
class PruneReport:
    """What was asked, what was achieved, and what was left alone for which reason.

    `predicted`: parameters, MACs and, where latency was asked for, milliseconds before and after. `measured`: those
    milliseconds by the clock, on deployables, or why there are none.
    """

    asked: dict[str, float]
    achieved: dict[str, float]
    criterion: str
    allocation: str
    multiple: int  # 0: of each group's `channel_alignment`
    widths: list[GroupWidth]
    protected: dict[str, str]
    largest_relative_error: float
    predicted: dict[str, float]
    measured: dict[str, float | str] | None = None
    sensitivity: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "PruneReport":
        """The report from its JSON."""
        return cls(**{**content, "widths": [GroupWidth(**row) for row in content["widths"]]})


@dataclass(frozen=True)
class Surveyed:
    """A network looked at before it is cut: its groups, checked; its layers, priced; its channels, ranked."""

    channels: Channels
    checks: list[GroupCheck]
    priced: PricedNetwork
    importances: Mapping[str, torch.Tensor]
    network: nn.Module

    @property
    def unpruned(self) -> dict[str, int]:
        """The channels of every group that may be pruned."""
        return {check.name: check.channels for check in self.checks if check.protected_because is None}

    @property
    def protected(self) -> dict[str, str]:
        """The groups that may not, with the reason."""
        return {c.name: c.protected_because for c in self.checks if c.protected_because is not None}

    def errors(self) -> list[float]:
        """The relative errors of the groups that may be pruned."""
        return [c.relative_error for c in self.checks if c.protected_because is None and c.relative_error is not None]

    def ranked(self) -> dict[str, list[int]]:
        """The channels of every group that may be pruned, the least important first."""
        return {name: self.importances[name].argsort(stable=True).tolist() for name in self.unpruned}

    def removal(self, widths: Mapping[str, int]) -> dict[str, list[int]]:
        """The least important channels, so many that these widths are left."""
        return {name: order[: len(order) - widths[name]] for name, order in self.ranked().items()}

    def protecting(self, reasons: Mapping[str, str]) -> "Surveyed":
        """The same with more groups protected; a UserError if that leaves none to prune."""
        checks = [replace(c, protected_because=reasons.get(c.name, c.protected_because)) for c in self.checks]
        _must_have_channels(checks)
        return replace(self, checks=checks)


@dataclass(frozen=True)
class PrunePlan:
    """What pruning would do: the widths, and what they would use of parameters, MACs and, if asked, milliseconds.

    `relative_error`: of removing all the planned channels at once.
    """

    surveyed: Surveyed
    chosen: Chosen
    multiple: int
    predicted: dict[str, float]
    relative_error: float
    sensitivity: Sensitivity | None = None
    measured: dict[str, float | str] | None = None

    @property
    def unpruned(self) -> dict[str, float]:
        """Parameters and MACs as they are."""
        return _predicted(self.surveyed, self.surveyed.unpruned)

    def rows(self) -> list[GroupWidth]:
        """Every group that may be pruned."""
        widths, asked = self.chosen.widths, self.chosen.asked
        return [GroupWidth(name, n, round(asked[name], 2), widths[name]) for name, n in self.surveyed.unpruned.items()]


def survey(network: nn.Module, settings: PruneSettings, batches: Sequence[Batch]) -> Surveyed:
    """Find, check, price and rank; a UserError if nothing can be pruned exactly.

    `batches` are training crops, looked at by criteria that need data.
    """
    size = size_for(network, settings.latency.size)
    channels = Channels(network)
    checks = check_groups(network, channels)
    names = _must_have_channels(checks)
    torch.manual_seed(settings.seed)
    importances = CRITERIA[settings.criterion].importances(network, channels, names, batches)
    return Surveyed(channels, checks, PricedNetwork(network, channels, size), importances, network)


def _must_have_channels(checks: Sequence[GroupCheck]) -> list[str]:
    """The groups that may be pruned; a UserError if there are none."""
    names = [check.name for check in checks if check.protected_because is None]
    if not names:
        raise UserError(
            "the network must have channels that can be removed exactly; it has none. Choose another method."
        )
    return names


def sensitivity_of(
    network: nn.Module, surveyed: Surveyed, settings: PruneSettings, batches: Sequence[Batch]
) -> Sensitivity:
    """The network's sensitivity curves on the first of the training crops: each point is a pass over them."""
    blurred, sharp = (torch.cat(parts)[:SENSITIVITY_CROPS] for parts in zip(*batches, strict=True))
    psnr_db, curves = measure_sensitivity(network, surveyed.channels, surveyed.ranked(), [Batch(blurred, sharp)])
    return Sensitivity(settings.criterion, len(blurred), settings.crop, psnr_db, curves, surveyed.protected)


def plan(
    surveyed: Surveyed, settings: PruneSettings, curves: Sensitivity | None = None, limit_ms: float | None = None
) -> PrunePlan:
    """Choose the widths. `curves` are needed by ways to choose that go by sensitivity.

    Groups that are exact one by one, but not with the chosen channels or together, are protected, too, and the widths
    chosen again.

    `limit_ms`: predicted milliseconds to reach instead of what the settings ask for, where the clock has shown that the
    prediction is off.
    """
    name, cut = settings.target
    clock = LayerLatency(settings.latency) if settings.depends_on_machine else None
    budget = _budget(surveyed, name, clock)
    whole = budget.total(surveyed.unpruned)
    target = limit_ms or (cut if name == "latency_ms" else (1 - cut) * whole)
    unit = "ms" if name == "latency_ms" else ""
    task = Task(
        surveyed.unpruned, budget, target, surveyed.importances, curves, settings.multiple, settings.floor, unit
    )
    try:
        chosen = ALLOCATIONS[settings.widths].choose(task)
    finally:
        if clock is not None:
            clock.save()
    if chosen.widths == surveyed.unpruned:
        advice = f"The network takes {whole:.3g} ms: ask for less." if name == "latency_ms" else "Ask for more."
        raise UserError(f"pruning must remove at least one channel; {name} {cut:g} removes none. {advice}")
    inexact, error = not_exact_together(surveyed.network, surveyed.channels, surveyed.removal(chosen.widths))
    if inexact:
        return plan(surveyed.protecting(inexact), settings, curves, limit_ms)
    check_runs(surveyed.network, surveyed.channels, surveyed.removal(chosen.widths), surveyed.priced.size)
    predicted = _predicted(surveyed, chosen.widths)
    if clock is not None:
        predicted |= {"latency_ms": budget.total(chosen.widths), "unpruned_latency_ms": whole}
    return PrunePlan(surveyed, chosen, settings.multiple, predicted, error or 0.0, curves)


def apply_(network: nn.Module, planned: PrunePlan, settings: PruneSettings) -> PruneReport:
    """Remove the planned channels, in place, from the network that was surveyed or a copy of it."""
    surveyed, widths = planned.surveyed, planned.chosen.widths
    before = cost(network, surveyed.priced.size)
    surveyed.channels.remove_(network, surveyed.removal(widths))
    after = cost(network, surveyed.priced.size)
    name, cut = settings.target
    return PruneReport(
        asked={name: cut},
        achieved=_by_clock(planned.measured)
        | {
            "ratio": 1 - sum(widths.values()) / sum(surveyed.unpruned.values()),
            "params_cut": 1 - after.params / before.params,
            "macs_cut": 1 - after.macs / before.macs,
        },
        criterion=settings.criterion,
        allocation=settings.widths,
        multiple=planned.multiple,
        widths=planned.rows(),
        protected=surveyed.protected,
        largest_relative_error=max(planned.relative_error, *surveyed.errors()),
        predicted=planned.predicted,
        measured=planned.measured,
        sensitivity=None if planned.sensitivity is None else planned.sensitivity.as_json(),
    )


def _by_clock(measured: dict[str, float | str] | None) -> dict[str, float]:
    """The latency cut that was achieved, if it was measured."""
    if measured is None or "latency_ms" not in measured:
        return {}
    return {"latency_cut": 1 - float(measured["latency_ms"]) / float(measured["unpruned_latency_ms"])}


def prune_(network: nn.Module, settings: PruneSettings, batches: Sequence[Batch] = ()) -> PruneReport:
    """Survey, plan and remove in place. Groups that cannot be removed exactly are protected, with their reason."""
    if settings.looks_at_crops and not batches:
        raise ValueError("this criterion or allocation looks at training crops, and got none")
    surveyed = survey(network, settings, batches)
    by_curves = ALLOCATIONS[settings.widths].needs_curves
    curves = sensitivity_of(network, surveyed, settings, batches) if by_curves else None
    return apply_(network, plan(surveyed, settings, curves), settings)


def _predicted(surveyed: Surveyed, widths: Mapping[str, int]) -> dict[str, float]:
    priced = surveyed.priced
    return {
        "params": priced.total(widths, params_price) + priced.params_elsewhere,
        "macs": priced.total(widths, macs_price) + priced.macs_elsewhere,
    }


def _budget(surveyed: Surveyed, target: str, clock: LayerLatency | None) -> Budget:
    """What the asked cut is a share of."""
    if clock is not None:
        return LayerBudget(surveyed.priced, clock)
    if target == "ratio":
        return ChannelBudget(surveyed.unpruned)
    if target == "params_cut":
        return LayerBudget(surveyed.priced, params_price, surveyed.priced.params_elsewhere)
    return LayerBudget(surveyed.priced, macs_price, surveyed.priced.macs_elsewhere)
