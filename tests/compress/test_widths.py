from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from baseline.errors import UserError
from compress.pruning_settings import PruneSettings
from compress.sensitivity import Point, Sensitivity
from compress.widths import ALLOCATIONS, Budget, ChannelBudget, Task, channel_alignment

Curve = list[tuple[float, float]]


class Stairs:
    """A budget by hand: what a channel of each group costs, counted in whole stairs of so many channels."""

    def __init__(self, unpruned: Mapping[str, int], price: Mapping[str, float], stair: int = 1) -> None:
        self._unpruned, self._price, self._stair = unpruned, price, stair

    def around(self, group: str, widths: Mapping[str, int]) -> float:
        stairs = -(-widths.get(group, self._unpruned[group]) // self._stair)
        return self._price[group] * stairs * self._stair

    def total(self, widths: Mapping[str, int]) -> float:
        return sum(self.around(group, widths) for group in self._unpruned)

    def neighbours(self, group: str) -> set[str]:
        return {group}


class Product(Stairs):
    """Two groups, `a` and `b`, that are the two sides of one layer; others have their own."""

    def around(self, group: str, widths: Mapping[str, int]) -> float:
        if group not in ("a", "b"):
            return super().around(group, widths)
        return float(widths.get("a", self._unpruned["a"]) * widths.get("b", self._unpruned["b"]))

    def total(self, widths: Mapping[str, int]) -> float:
        return sum(self.around(group, widths) for group in self._unpruned if group != "b")

    def neighbours(self, group: str) -> set[str]:
        return {"a", "b"} if group in ("a", "b") else {group}


def curves(**groups: Curve) -> Sensitivity:
    points = {name: [Point(ratio, 0.0, change, ratio) for ratio, change in curve] for name, curve in groups.items()}
    return Sensitivity("l2", 1, 32, 30.0, points, {})


def straight(slope: float) -> Curve:
    return [(0.5, 0.5 * slope), (1.0, slope)]


def task(unpruned: dict[str, int], budget: Budget, target: float, **options: object) -> Task:
    ranks = {name: torch.arange(float(n)) for name, n in unpruned.items()}
    return Task(unpruned, budget, target, **({"importances": ranks} | options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "multiple", "width", "rounded"),
    [
        (64, 8, 43.9, 40),
        (64, 8, 44.1, 48),
        (64, 8, 1.0, 8),  # never to nothing
        (64, 8, 64.0, 64),
        (66, 8, 66.0, 66),
        (6, 8, 2.0, 6),  # narrower than one multiple
        (12, 8, 11.0, 12),
        (10, 1, 3.5, 3),
        (10, 1, 3.6, 4),
        (10, 1, 0.0, 1),
    ],
)
def test_widths_are_rounded_to_the_nearest_multiple(before: int, multiple: int, width: float, rounded: int) -> None:
    unpruned = {"a": before}
    assert task(unpruned, ChannelBudget(unpruned), 1, multiple=multiple).rounded("a", width) == rounded


def test_a_ratio_takes_the_same_share_of_every_group_and_leaves_a_channel() -> None:
    unpruned = {"a": 4, "b": 7, "c": 2}
    budget = ChannelBudget(unpruned)
    assert ALLOCATIONS["uniform"].choose(task(unpruned, budget, 0.7 * 13)).widths == {"a": 3, "b": 5, "c": 1}
    assert ALLOCATIONS["uniform"].choose(task(unpruned, budget, 0.001 * 13)).widths == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("target", [0.4, 0.55, 0.9])
def test_the_target_is_reached_within_one_step(allocation: str, target: float) -> None:
    unpruned = {"a": 40, "b": 24, "c": 64}
    price = {"a": 1.0, "b": 3.0, "c": 0.5}
    whole = 40 + 3 * 24 + 0.5 * 64
    budget = Stairs(unpruned, price)
    known = curves(a=[(0.5, 1.0), (0.9, 8.0)], b=[(0.5, 2.0), (0.9, 9.0)], c=[(0.5, 0.1), (0.9, 3.0)])
    chosen = ALLOCATIONS[allocation].choose(task(unpruned, budget, target * whole, curves=known, multiple=4))
    used = sum(price[name] * width for name, width in chosen.widths.items())
    assert all(width % 4 == 0 for width in chosen.widths.values())
    # Widths of all groups may change at once, each by one multiple.
    step = 4 * (sum(price.values()) if allocation == "uniform" else max(price.values()))
    assert abs(used - target * whole) <= step


def test_equal_shares_of_a_budget_are_found_by_hand() -> None:
    # Half of a product of two widths is left at 0.707 of each: 7.07 of 10 and 14.1 of 20.
    unpruned = {"a": 10, "b": 20}
    chosen = ALLOCATIONS["uniform"].choose(task(unpruned, Product(unpruned, {}), 100.0))
    assert chosen.widths == {"a": 7, "b": 14}
    assert chosen.asked["a"] == pytest.approx(7, abs=0.51)


def test_global_removes_the_least_important_of_all_but_keeps_a_floor() -> None:
    unpruned = {"a": 4, "b": 10}
    importances: dict[str, Tensor] = {
        "a": torch.tensor([9.0, 1.5, 8.0, 7.0]),
        "b": torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.5, 0.4, 0.3, 0.2]),
    }
    # The six least: 0.2, 0.3, 0.4, 0.5 and 1 of b, 1.5 of a.
    known = task(unpruned, ChannelBudget(unpruned), 8, importances=importances)
    assert ALLOCATIONS["global"].choose(known).widths == {"a": 3, "b": 5}
    # The ten least are all of b and one of a, but half of b must stay: a then gives more.
    floored = task(unpruned, ChannelBudget(unpruned), 7, importances=importances, floor=0.5)
    assert ALLOCATIONS["global"].choose(floored).widths == {"a": 2, "b": 5}


def test_sensitivity_cuts_where_least_is_lost_for_what_is_saved() -> None:
    # For all of its channels a loses 1 and saves 10, b loses 2 and saves 40, c loses 9 and saves 10: b goes first, down
    # to the floor of 2 (32 saved), then a.
    unpruned = {"a": 10, "b": 10, "c": 10}
    budget = Stairs(unpruned, {"a": 1.0, "b": 4.0, "c": 1.0})
    known = curves(a=straight(1.0), b=straight(2.0), c=straight(9.0))

    def widths(target: float) -> dict[str, int]:
        return ALLOCATIONS["sensitivity"].choose(task(unpruned, budget, target, curves=known, floor=0.2)).widths

    assert widths(40.0) == {"a": 10, "b": 5, "c": 10}
    assert widths(28.0) == {"a": 10, "b": 2, "c": 10}
    assert widths(23.0) == {"a": 5, "b": 2, "c": 10}


def test_sensitivity_shares_a_cut_where_the_loss_grows() -> None:
    # The second half of each group loses four times as much as the first: both give their first halves.
    unpruned = {"a": 8, "b": 8}
    known = curves(a=[(0.5, 1.0), (1.0, 5.0)], b=[(0.5, 2.0), (1.0, 10.0)])
    chosen = ALLOCATIONS["sensitivity"].choose(task(unpruned, ChannelBudget(unpruned), 8, curves=known))
    assert chosen.widths == {"a": 4, "b": 4}


def test_sensitivity_prices_a_step_anew_when_its_neighbour_has_changed() -> None:
    # A layer of a x b, and c at 4 a channel. Error a unit saved: a 1/64, b 2/64, c 2/32. With only 2 of a left, a
    # channel of b saves 2 instead of 8, so that c is the better one then.
    unpruned = {"a": 8, "b": 8, "c": 8}
    known = curves(a=straight(1.0), b=straight(2.0), c=straight(2.0))
    budget = Product(unpruned, {"c": 4.0})
    chosen = ALLOCATIONS["sensitivity"].choose(task(unpruned, budget, 2 * 8 + 2 * 4.0, curves=known, floor=0.25))
    assert chosen.widths == {"a": 2, "b": 8, "c": 2}


def test_the_last_step_ends_nearest_to_the_target() -> None:
    # With 2 of a left, 6 of b use 12 exactly; all lengths of the step save equally much for what they lose.
    unpruned = {"a": 8, "b": 8}
    known = curves(a=straight(1.0), b=straight(1.1))
    chosen = ALLOCATIONS["sensitivity"].choose(task(unpruned, Product(unpruned, {}), 12.0, curves=known, floor=0.25))
    assert chosen.widths == {"a": 2, "b": 6}


def test_a_stair_is_jumped_where_nothing_is_saved_on_it() -> None:
    # 16 channels cost as much as 9 to 15: only 8 save anything. b could give every channel, but loses more for it.
    unpruned = {"a": 16, "b": 16}
    stairs = Stairs(unpruned, {"a": 1.0, "b": 1.0}, stair=8)
    known = curves(a=straight(1.0), b=straight(3.0))
    chosen = ALLOCATIONS["sensitivity"].choose(task(unpruned, stairs, 24.0, curves=known, multiple=4))
    assert chosen.widths == {"a": 8, "b": 16}


@pytest.mark.parametrize("harm", [0.0, 1e-3])
def test_a_group_that_loses_nothing_more_is_not_cut_far_beyond_the_target(harm: float) -> None:
    # Any width of a harms alike, so that the longest step saves most for it; a tenth of the budget is asked for.
    unpruned = {"a": 100, "b": 100}
    known = curves(a=[(0.01, harm), (1.0, harm)], b=straight(9.0))
    chosen = ALLOCATIONS["sensitivity"].choose(task(unpruned, ChannelBudget(unpruned), 180.0, curves=known))
    assert sum(chosen.widths.values()) == pytest.approx(180, abs=7)  # one of 16 steps


@pytest.mark.parametrize(("allocation", "most"), [("uniform", "0.750"), ("global", "0.750"), ("sensitivity", "0.750")])
def test_too_large_a_cut_is_refused_with_the_largest(allocation: str, most: str) -> None:
    unpruned = {"a": 32, "b": 32}
    asked = task(
        unpruned, Stairs(unpruned, {"a": 1.0, "b": 1.0}), 4.0, curves=curves(a=straight(1), b=straight(2)), multiple=8
    )
    with pytest.raises(UserError) as error:
        ALLOCATIONS[allocation].choose(asked)
    assert str(error.value) == (
        f"the cut must be at most {most} for this network with these widths (multiples of 8); got 0.938. "
        "Ask for less, or set multiple to 1: kernels like those widths less."
    )


def test_an_unknown_allocation_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError) as error:
        PruneSettings(ratio=0.3, widths="globl", criterion="l2", multiple=1)
    assert str(error.value) == (
        "no allocation of widths 'globl'. Did you mean 'global'? Known: global, sensitivity, uniform."
    )


@pytest.mark.parametrize(
    ("left", "target", "unit", "said"),
    [
        (
            0.5,
            300.0,
            "",
            "the cut must be at most 0.500 for this network with these widths (multiples of 1); got 0.700.",
        ),
        # Three digits would say at most 0.999, got 1.000.
        (
            1e-3,
            0.5,
            "",
            "the cut must be at most 0.9990 for this network with these widths (multiples of 1); got 0.9995.",
        ),
        (
            0.5,
            300.0,
            "ms",
            "the target must be at least 500 ms for this network with these widths (multiples of 1); got ",
        ),
    ],
)
def test_what_cannot_be_reached_is_told_in_what_was_asked_for(left: float, target: float, unit: str, said: str) -> None:
    unpruned = {"a": 1000}

    class Stays(Stairs):
        def around(self, group: str, widths: Mapping[str, int]) -> float:
            return max(1000 * left, float(widths.get(group, 1000)))

    asked = task(unpruned, Stays(unpruned, {}), target, unit=unit)
    with pytest.raises(UserError) as error:
        ALLOCATIONS["uniform"].choose(asked)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("way", ["uniform", "global"])
def test_widths_are_multiples_that_integer_kernels_like_unless_told_otherwise(way: str) -> None:
    unpruned = {"many": 128, "some": 40, "few": 16, "fewer": 6}
    chosen = ALLOCATIONS[way].choose(task(unpruned, ChannelBudget(unpruned), 0.5 * 190, multiple=0)).widths
    assert chosen["many"] % 16 == 0 and chosen["some"] in (16, 32, 40)
    assert chosen["few"] in (8, 16)
    assert 0 < chosen["fewer"] <= 6
    assert sum(chosen.values()) < 190


@pytest.mark.parametrize(("channels", "multiple"), [(128, 16), (32, 16), (31, 8), (16, 8), (15, 1), (1, 1)])
def test_narrow_layers_are_free_to_take_any_width(channels: int, multiple: int) -> None:
    assert channel_alignment(channels) == multiple
