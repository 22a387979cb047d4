from collections.abc import Callable

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import nn

from baseline.data.pairs import Pair, PairSet
from baseline.data.pictures import Picture
from baseline.evaluate import Unchanged, bootstrap_interval, gain_kept, mean_psnr, score
from baseline.measurement import METRICS, Measurement
from baseline.restorer import NetworkRestorer

Noise = Callable[..., Picture]


def pairs(noise: Noise) -> PairSet:
    made = [
        Pair("a-0", "a", noise(16, 20, 0), noise(16, 20, 1)),
        Pair("a-1", "a", noise(13, 15, 2), noise(13, 15, 3)),
        Pair("b-0", "b", noise(16, 16, 4), noise(16, 16, 5)),
    ]
    return PairSet({pair.name: (lambda pair=pair: pair) for pair in made})


def test_the_input_is_scored_as_it_is(noise: Noise) -> None:
    rows = score(Unchanged(), pairs(noise))
    assert [(row.name, row.group) for row in rows] == [("a-0", "a"), ("a-1", "a"), ("b-0", "b")]
    expected = [peak_signal_noise_ratio(pair.sharp, pair.blurred) for pair in pairs(noise)]
    assert [row.psnr_db for row in rows] == pytest.approx(expected, abs=1e-3)
    assert mean_psnr(Unchanged(), pairs(noise)) == pytest.approx(sum(expected) / 3, abs=1e-3)


def test_every_size_is_scored_at_its_own(tiny: Callable[..., nn.Module], noise: Noise) -> None:
    assert len(score(NetworkRestorer(tiny()), pairs(noise))) == 3


def test_pairs_are_made_when_asked_for() -> None:
    asked = []
    lazy = PairSet({name: (lambda name=name: asked.append(name)) for name in "abc"})
    assert len(lazy) == 3
    list(lazy.only(["c"]))
    assert asked == ["c"]


@pytest.mark.parametrize(
    ("values", "groups", "interval"),
    [
        ([2.0, 2.0, 2.0], ["a", "b", "c"], (2.0, 2.0)),
        ([0.0, 1.0], ["a", "b"], (0.0, 1.0)),  # both twice has a chance of a quarter each, far above 2.5%
        ([0.0, 0.0, 3.0], ["a", "a", "b"], (0.0, 3.0)),
    ],
)
def test_the_interval_resamples_groups(values: list[float], groups: list[str], interval: tuple[float, float]) -> None:
    assert bootstrap_interval(values, groups) == pytest.approx(interval)


def test_one_photograph_has_no_interval() -> None:
    assert bootstrap_interval([0.0, 2.0], ["a", "a"]) is None


def test_the_interval_is_that_of_the_normal_distribution_for_many_groups() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0)).double()
    low, high = bootstrap_interval(values.tolist(), [str(i) for i in range(400)])
    half = 1.96 * values.std().item() / 20
    assert (low, high) == pytest.approx((values.mean().item() - half, values.mean().item() + half), abs=0.02)


def test_gain_kept_is_a_share_of_the_teachers_gain() -> None:
    assert gain_kept(24.5, 25.0, 23.0) == pytest.approx(0.75)
    assert gain_kept(22.0, 25.0, 23.0) == pytest.approx(-0.5)


@pytest.mark.parametrize("given", [{}, {"value": 1.0, "missing": "no"}, {"value": float("nan")}])
def test_a_measurement_is_a_number_or_a_reason(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"either a value or the reason|finite number"):
        Measurement(unit="dB", direction="higher", **given)


def test_a_metric_knows_its_unit_and_direction() -> None:
    assert METRICS["psnr_loss_db"].measured(0.5, "x").direction == "lower"
    assert METRICS["psnr_db"].lacking("no teacher").missing == "no teacher"
