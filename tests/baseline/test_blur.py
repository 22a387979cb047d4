import numpy as np
import pytest

from baseline.data import blur
from baseline.data.blur import motion_kernel, shake, shake_trajectory, to_display, to_linear
from baseline.data.pictures import Picture

SEEDS = range(60)


@pytest.mark.parametrize("reach", [0.6, 3.0, 6.0])
def test_kernels_spread_all_light_around_their_centre(reach: float) -> None:
    for seed in SEEDS:
        path = shake_trajectory(np.random.default_rng(seed), reach)
        assert np.hypot(*path.T).max() == pytest.approx(reach)
        kernel = motion_kernel(path)
        assert kernel.shape[0] == kernel.shape[1]
        assert kernel.shape[0] % 2 == 1
        assert kernel.min() >= 0
        assert kernel.sum() == pytest.approx(1, abs=1e-5)
        places = np.arange(len(kernel)) - len(kernel) // 2
        assert abs(kernel.sum(axis=0) @ places) < 0.05
        assert abs(kernel.sum(axis=1) @ places) < 0.05


def test_a_point_between_pixels_is_shared_by_its_four_neighbours() -> None:
    kernel = motion_kernel(np.array([[0.25, -0.5]]))
    centre = len(kernel) // 2
    expected = np.array([[0.375, 0.125], [0.375, 0.125]])
    np.testing.assert_allclose(kernel[centre - 1 : centre + 1, centre : centre + 2], expected, atol=1e-6)


def test_a_flat_picture_stays_flat_up_to_one_grey_level_of_noise() -> None:
    flat = np.full((96, 96, 3), 100, np.uint8)
    shaken = shake(flat, np.random.default_rng(0), 6.0).astype(float)
    assert shaken.mean() == pytest.approx(100, abs=0.05)
    # One grey level of noise, and the variance 1/12 of rounding.
    assert shaken.std() == pytest.approx((1 + 1 / 12) ** 0.5, abs=0.02)


def test_light_is_mixed_before_the_display_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    two_pixels_left_and_right = np.array([[-2.0, 0.0], [2.0, 0.0]])
    monkeypatch.setattr(blur, "shake_trajectory", lambda rng, reach: two_pixels_left_and_right)
    edge = np.zeros((200, 32, 3), np.uint8)
    edge[:, 16:] = 255
    shaken = shake(edge, np.random.default_rng(0), 2.0).astype(float)
    assert shaken[:, 14:18].mean() == pytest.approx(255 * 0.5 ** (1 / 2.2), abs=0.2)
    assert shaken[:, :14].mean() < 1
    assert shaken[:, 18:].mean() > 254


def test_display_and_linear_are_inverse() -> None:
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(to_display(to_linear(levels)), levels, atol=1e-3)
    assert to_linear(np.array([186], np.uint8))[0] == pytest.approx((186 / 255) ** 2.2, rel=1e-5)


def test_a_seed_says_all(photo: Picture) -> None:
    once, again, other = (shake(photo, np.random.default_rng(seed), 4.0) for seed in (3, 3, 4))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    assert not np.array_equal(once, photo)
