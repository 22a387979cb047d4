from collections.abc import Callable

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor, nn

from baseline.data.pairs import Pair, PairSet
from baseline.data.pictures import Picture
from baseline.errors import UserError
from baseline.evaluate import (
    NOT_ALIGNED,
    PictureScore,
    Unchanged,
    differences,
    gain_kept,
    mean_psnr,
    means,
    score,
)
from baseline.measurement import METRICS, Mean, Measurement, bootstrap_interval
from baseline.restorer import NetworkRestorer

Noise = Callable[..., Picture]


def pairs(noise: Noise) -> PairSet:
    made = [
        Pair("a-0", "a", noise(36, 40, 0), noise(36, 40, 1)),
        Pair("a-1", "a", noise(31, 35, 2), noise(31, 35, 3)),
        Pair("b-0", "b", noise(36, 36, 4), noise(36, 36, 5)),
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


def test_restored_pictures_are_handed_over_as_they_are_scored(noise: Noise) -> None:
    kept = {}
    rows = score(Unchanged(), pairs(noise), keep=lambda pair, restored: kept.update({pair.name: restored}))
    assert list(kept) == [row.name for row in rows]
    assert torch.equal(kept["a-1"] * 255, torch.from_numpy(noise(31, 35, 2)).permute(2, 0, 1))


class Spoilt(Unchanged):
    """Returns what a diverged network, or one for another range, would."""

    def __init__(self, spoil: Callable[[Tensor], Tensor]) -> None:
        self.spoil = spoil

    def __call__(self, blurred: Tensor) -> Tensor:
        return self.spoil(blurred)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda x: 255 * x, r"its values average 12\d"),
        (lambda x: x / 0, "it holds values that are not finite"),
        (lambda x: torch.where(x == x.max(), torch.nan, x), "it holds values that are not finite"),
    ],
)
def test_a_metric_on_the_wrong_range_names_the_picture(spoil: object, reason: str, noise: Noise) -> None:
    for scoring in (score, mean_psnr):
        with pytest.raises(UserError, match=rf"must restore 'a-0' to a picture in 0\.\.1; {reason}\. Train it"):
            scoring(Spoilt(spoil), pairs(noise))


def test_a_network_that_overshoots_is_scored(noise: Noise) -> None:
    assert len(score(Spoilt(lambda x: 3 * x - 1), pairs(noise))) == 3


def test_displaced_pairs_are_aligned_and_what_cannot_be_says_so(photo: Picture) -> None:
    sharp = photo[8:136, 8:168]
    made = [Pair("moved", "a", photo[6:134, 11:171], sharp), Pair("negative", "b", 255 - sharp, sharp)]
    loaders = {pair.name: (lambda pair=pair: pair) for pair in made}
    plain, aligned = score(Unchanged(), PairSet(loaders)), score(Unchanged(), PairSet(loaders, aligned=True))
    assert plain[0].psnr_db < 23 < 30 < aligned[0].psnr_db
    assert (plain[0].note, aligned[0].note, aligned[1].note) == ("", "", NOT_ALIGNED)
    assert aligned[1].psnr_db == plain[1].psnr_db


def scores(*values: float) -> list[PictureScore]:
    return [PictureScore(f"p{i}", f"g{i // 2}", v, v / 50, v / 40, v / 30) for i, v in enumerate(values)]


def test_means_and_paired_differences_are_of_every_metric() -> None:
    found = means(scores(20, 30, 30, 40))
    assert found["psnr_db"] == Mean(30, (25, 35))
    assert found["lpips"] == Mean(0.75, (0.625, 0.875))
    # Pictures differ by 10 dB, yet network to network by 1 dB for each of them.
    apart = differences(scores(21, 31, 31, 41), scores(20, 30, 30, 40))
    assert apart["psnr_db"] == Mean(1, (1, 1))
    assert apart["edge_sharpness"].mean == pytest.approx(1 / 30)
    assert list(apart) == ["psnr_db", "ssim", "lpips", "edge_sharpness"]


def test_scores_of_other_pictures_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="only over the same pictures"):
        differences(scores(20, 30), scores(20, 30)[::-1])


@pytest.mark.parametrize(
    ("interval", "beyond"),
    [((0.1, 0.3), True), ((-0.3, -0.1), True), ((-0.1, 0.3), False), ((0.0, 0.3), False), (None, None)],
)
def test_a_difference_is_beyond_zero_if_its_whole_interval_is(
    interval: tuple[float, float] | None, beyond: bool | None
) -> None:
    assert Mean(0.1, interval).beyond_zero is beyond


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
