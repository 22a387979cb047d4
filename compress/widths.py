"""How many channels each group keeps: ways to share out a cut, by name. Listing them does not import torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from baseline.errors import UserError
from baseline.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from compress.pricing import Price, PricedNetwork, Widths
    from compress.sensitivity import Sensitivity

_HALVINGS = 24
_MOST_CHOICES = 16
"""Widths that are tried of each group."""


def channel_alignment(channels: int) -> int:
    """The multiple of channels that integer and vector kernels like in a layer of so many: 16, 8 below 32 channels.

    Below 16, widths are free: there, meeting the target is worth more.
    Half the MACs of the shipped teacher in INT8 on OpenVINO, AVX512-VNNI: 15.5 ms unpruned, 17.9 at free widths, 15.1
    at multiples of 8, 11.5 at multiples of 16.
    """
    if channels < 16:
        return 1
    return 16 if channels >= 32 else 8


def multiples(multiple: int) -> str:
    """What widths are multiples of, in words."""
    return f"multiples of {multiple}" if multiple else "multiples of 16, of 8 below 32 channels, free below 16"


class Budget(Protocol):
    """Something that widths use up, such as parameters, MACs or milliseconds."""

    def total(self, widths: Widths) -> float:
        """What all of the network uses."""

    def around(self, group: str, widths: Widths) -> float:
        """The part of it that depends on a group's width."""

    def neighbours(self, group: str) -> set[str]:
        """The groups that use a part which depends on this group's width, too."""


class ChannelBudget:
    """Channels, counted once a group."""

    def __init__(self, unpruned: Mapping[str, int]) -> None:
        self._unpruned = unpruned

    def total(self, widths: Widths) -> float:
        """All channels of the groups that may be pruned."""
        return float(sum(widths.get(name, before) for name, before in self._unpruned.items()))

    def around(self, group: str, widths: Widths) -> float:
        """The group's own."""
        return float(widths[group])

    def neighbours(self, group: str) -> set[str]:
        """The group alone."""
        return {group}


class LayerBudget:
    """A price summed over the network's layers."""

    def __init__(self, network: PricedNetwork, price: Price, elsewhere: float = 0.0) -> None:
        self._network = network
        self._price = price
        self._elsewhere = elsewhere
        self._groups_of: dict[str, set[str]] = {}
        for name in network.unpruned:
            for layer in network.layers_of(name):
                self._groups_of.setdefault(layer.name, set()).add(name)

    def total(self, widths: Widths) -> float:
        """The sum over all layers, and what lies elsewhere."""
        return self._network.total(widths, self._price) + self._elsewhere

    def around(self, group: str, widths: Widths) -> float:
        """The sum over the group's layers."""
        return sum(self._price(layer, *self._network.kept(layer, widths)) for layer in self._network.layers_of(group))

    def neighbours(self, group: str) -> set[str]:
        """All groups that share a layer with this one."""
        return set().union(*(self._groups_of[layer.name] for layer in self._network.layers_of(group)), {group})


@dataclass(frozen=True)
class Task:
    """What widths are chosen for: the groups, what they may use, and what is known of them.

    `multiple`: widths are rounded to the nearest multiple of it, never to none; 0: of their `channel_alignment`.
    `floor`: the least share of a group that is kept, before rounding, where widths are not the same for all. `target`:
    what may be used of the budget, asked for in `unit`; without one, as the share to cut.
    """

    unpruned: Mapping[str, int]
    budget: Budget
    target: float
    importances: Mapping[str, Tensor]
    curves: Sensitivity | None = None
    multiple: int = 1
    floor: float = 0.1
    unit: str = ""

    def multiple_of(self, group: str) -> int:
        """What a group's widths are multiples of."""
        return self.multiple or channel_alignment(self.unpruned[group])

    def rounded(self, group: str, width: float) -> int:
        """A width that kernels like, the nearest to the asked one; a group narrower than one multiple stays."""
        before, multiple = self.unpruned[group], self.multiple_of(group)
        if before < multiple:
            return before
        nearest = min(before, max(multiple, math.ceil(width / multiple - 0.5) * multiple))
        # A width that is no multiple stays where it is nearer than any.
        return before if before - width < abs(width - nearest) else nearest


@dataclass(frozen=True)
class Chosen:
    """The channels that every group keeps, and those that were asked for before rounding."""

    widths: dict[str, int]
    asked: dict[str, float]


class Allocation(Protocol):
    """One way to share out a cut. `needs_curves`: it looks at the network's sensitivity."""

    needs_curves: bool

    def choose(self, task: Task) -> Chosen:
        """The widths that come nearest to the task's target; a UserError if it cannot be reached."""


ALLOCATIONS: Registry[Allocation] = Registry("allocation of widths")


class _Uniform:
    """The same share of every group's channels."""

    needs_curves = False

    def choose(self, task: Task) -> Chosen:
        """One ratio for all."""

        def asked(ratio: float) -> dict[str, float]:
            return {name: n * (1 - ratio) for name, n in task.unpruned.items()}

        if isinstance(task.budget, ChannelBudget):
            return _rounded(task, asked(1 - task.target / task.budget.total(task.unpruned)))
        return _bisected(task, asked)


class _Global:
    """The least important channels of the whole network, with a floor for every layer."""

    needs_curves = False

    def choose(self, task: Task) -> Chosen:
        """One threshold for all; the criterion's numbers are taken as comparable between groups."""
        import torch

        everything = torch.cat([task.importances[name].float() for name in task.unpruned]).sort().values

        def asked(ratio: float) -> dict[str, float]:
            place = min(int(ratio * len(everything)), len(everything) - 1)
            threshold = everything[place] if ratio < 1 else math.inf
            kept = {name: int((task.importances[name] >= threshold).sum()) for name in task.unpruned}
            return {name: max(float(kept[name]), task.floor * n) for name, n in task.unpruned.items()}

        return _bisected(task, asked)


class _Sensitivity:
    """The widths that lose least by measured sensitivity for what they save."""

    needs_curves = True

    def choose(self, task: Task) -> Chosen:
        """Step by step, narrow the group that adds the least error for each unit of budget that it saves.

        Damages of groups are taken as adding up. Steps may be long: a layer that is no faster at 12 channels than at 16
        goes to 8 at once if that pays.
        """
        widths = dict(task.unpruned)
        used, steps = task.budget.total(widths), _Steps(task)
        while used > task.target:
            best = steps.best(widths)
            if best is None:
                raise _too_much(task, task.budget.total(widths))
            if used - best.saved < task.target:
                widths[best.group] = _nearest(task, widths, best)
                break
            widths[best.group] = best.width
            steps.forget(task.budget.neighbours(best.group))
            used = task.budget.total(widths)
        return Chosen(widths, {name: float(width) for name, width in widths.items()})


def _nearest(task: Task, widths: dict[str, int], last: _Step) -> int:
    """The width of the last group to be narrowed that comes nearest to the target: its best step goes beyond."""
    choices = [width for width in _choices(task, last.group) if last.width <= width <= widths[last.group]]
    return min(choices, key=lambda width: abs(task.budget.total({**widths, last.group: width}) - task.target))


@dataclass(frozen=True)
class _Step:
    """Narrowing one group to a width: the error that it adds for each unit that it saves."""

    group: str
    width: int
    saved: float
    rate: float


class _Steps:
    """The best step of every group, computed again only where a neighbour changed."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._known: dict[str, _Step | None] = {}
        self._choices = {name: _choices(task, name) for name in task.unpruned}

    def best(self, widths: dict[str, int]) -> _Step | None:
        for name in widths:
            if name not in self._known:
                self._known[name] = self._of(name, widths)
        steps = [step for step in self._known.values() if step is not None]
        return min(steps, key=lambda step: (step.rate, step.group), default=None)

    def forget(self, groups: set[str]) -> None:
        for name in groups:
            self._known.pop(name, None)

    def _of(self, name: str, widths: dict[str, int]) -> _Step | None:
        budget, before = self._task.budget, widths[name]
        used, harmed = budget.around(name, widths), self._damage(name, before)
        steps = []
        for width in self._choices[name]:
            if width < before:
                saved = used - budget.around(name, {**widths, name: width})
                if saved > 0:
                    # Where nothing is lost, the larger saving goes first.
                    added = max(self._damage(name, width) - harmed, 1e-12)
                    steps.append(_Step(name, width, saved, added / saved))
        return min(steps, key=lambda step: step.rate, default=None)

    def _damage(self, name: str, width: int) -> float:
        curves = self._task.curves
        if curves is None:
            raise ValueError("widths by sensitivity need its curves")
        return curves.damage(name, 1 - width / self._task.unpruned[name])


def _choices(task: Task, name: str) -> list[int]:
    """The widths that a group may take, at most so many."""
    before = task.unpruned[name]
    count = min(_MOST_CHOICES, max(1, before // task.multiple_of(name)))
    tried = (task.rounded(name, before * part / count) for part in range(count + 1))
    least = max(1.0, task.floor * before)
    return sorted({width for width in tried if width >= least or width == task.rounded(name, least)})


def _bisected(task: Task, asked_at: Callable[[float], dict[str, float]]) -> Chosen:
    """The ratio whose rounded widths use what comes nearest to the target."""
    most = _rounded(task, asked_at(1.0))
    if task.budget.total(most.widths) > task.target:
        raise _too_much(task, task.budget.total(most.widths))
    tried, low, high = {1.0: most}, 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried[middle] = _rounded(task, asked_at(middle))
        low, high = (middle, high) if task.budget.total(tried[middle].widths) > task.target else (low, middle)
    return min(tried.values(), key=lambda one: abs(task.budget.total(one.widths) - task.target))


def _rounded(task: Task, asked: dict[str, float]) -> Chosen:
    return Chosen({name: task.rounded(name, width) for name, width in asked.items()}, asked)


def _too_much(task: Task, least: float) -> UserError:
    place = f"for this network with these widths ({multiples(task.multiple)})"
    if task.unit:
        reached = math.ceil(100 * least) / 100
        return UserError(
            f"the target must be at least {reached:g} {task.unit} {place}; got {task.target:g} {task.unit}. "
            "Ask for more."
        )
    whole = task.budget.total(task.unpruned)
    most, asked = 1 - least / whole, 1 - task.target / whole
    # As many digits as it takes to tell them apart, and what can be had is rounded down, so that it can be asked for.
    digits = next(d for d in range(3, 16) if math.floor(most * 10**d) / 10**d < round(asked, d) < 1 or d == 15)
    most = math.floor(most * 10**digits) / 10**digits
    advice = (
        "Ask for less." if task.multiple == 1 else "Ask for less, or set multiple to 1: kernels like those widths less."
    )
    return UserError(f"the cut must be at most {most:.{digits}f} {place}; got {asked:.{digits}f}. {advice}")


ALLOCATIONS.register("uniform")(_Uniform())
ALLOCATIONS.register("global")(_Global())
ALLOCATIONS.register("sensitivity")(_Sensitivity())
