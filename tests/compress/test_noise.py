import pytest

from compress.noise import LIMITS, Noise, NoiseReason, Turn, noise_of

CALM = [Turn([50.0, 51.0, 49.0], 2.0, 0.01), Turn([51.0, 50.0, 52.0], 2.02, 0.02), Turn([50.5, 90.0, 50.5], 2.01, 0.0)]


def test_turns_that_agree_beside_no_other_load_are_calm() -> None:
    assert noise_of(CALM, takes=2) == Noise(noisy=False, takes=2)


def test_one_call_that_is_disturbed_is_no_noise_but_a_turn_is() -> None:
    # Medians 50, 51 and 60: they lie apart by 10 of 51.
    noise = noise_of([*CALM[:2], Turn([60.0, 60.0, 60.0], 2.0, 0.0)])
    assert noise == Noise(True, (NoiseReason("rounds_disagree", pytest.approx(10 / 51), LIMITS["rounds_disagree"]),))


def test_other_load_is_the_mean_share_of_all_turns() -> None:
    noise = noise_of([Turn([50.0], 2.0, share) for share in (0.0, 0.5, 0.1)])
    assert noise.reasons == (NoiseReason("other_load", pytest.approx(0.2), LIMITS["other_load"]),)


def test_a_clock_that_slowed_down_is_seen_by_a_fixed_computation() -> None:
    noise = noise_of([Turn([50.0], pace, 0.0) for pace in (2.0, 2.0, 2.5)])
    assert noise.reasons == (NoiseReason("clock_changed", pytest.approx(0.25), LIMITS["clock_changed"]),)


def test_all_reasons_are_told() -> None:
    noise = noise_of([Turn([50.0], 2.0, 0.4), Turn([80.0], 3.0, 0.6)])
    assert [reason.kind for reason in noise.reasons] == ["rounds_disagree", "other_load", "clock_changed"]


def test_a_single_turn_cannot_disagree() -> None:
    assert not noise_of(CALM[:1]).noisy
