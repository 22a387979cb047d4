import numpy as np
import pytest

from baseline.data.blur import to_linear
from baseline.data.moving import expose, free_form, move_object, move_object_and_shake, object_path
from baseline.data.pictures import Picture

SEEDS = range(30)


def rolled(light: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return np.roll(light, (int(offset[1]), int(offset[0])), axis=(0, 1))


def test_an_exposure_is_the_mean_of_its_moments() -> None:
    rng = np.random.default_rng(0)
    scene = rng.random((40, 50, 3), dtype=np.float32)
    mask = np.zeros((40, 50), np.float32)
    mask[14:26, 15:33] = rng.random((12, 18))
    motion = np.array([[-3, 1], [0, 0], [2, -2], [5, 0]], float)
    camera = np.array([[1, 0], [0, -2], [-1, 1], [0, 3]], float)
    expected = np.zeros((40, 50, 3))
    for own, shared in zip(motion, camera, strict=True):
        part, shape = rolled(scene * mask[..., None], own), rolled(mask, own)[..., None]
        expected += rolled(part + scene * (1 - shape), shared) / 4
    inner = np.s_[5:-5, 5:-5]
    np.testing.assert_allclose(expose(scene, mask, motion, camera)[inner], expected[inner], atol=1e-6)


def test_what_moves_across_its_own_colour_leaves_no_halo() -> None:
    light = np.full((60, 60, 3), 0.25, np.float32)
    mask = free_form(np.random.default_rng(1), 60, 60)
    path = object_path(np.random.default_rng(2), 6.0)
    np.testing.assert_allclose(expose(light, mask, path, path * 0), light, atol=1e-5)


@pytest.mark.parametrize("reach", [0.6, 6.0])
def test_an_object_goes_as_far_as_asked_through_its_place(reach: float) -> None:
    for seed in SEEDS:
        path = object_path(np.random.default_rng(seed), reach)
        lengths = np.hypot(*path.T)
        assert lengths.max() == pytest.approx(reach)
        assert lengths.min() < reach / 40
        assert path[0] @ path[-1] < 0


def test_parts_are_of_one_piece_and_leave_most_of_the_picture_alone() -> None:
    for seed in SEEDS:
        mask = free_form(np.random.default_rng(seed), 96, 128)
        assert (mask.min(), mask.max()) == (0, 1)
        assert 0.02 < mask.mean() < 0.6
        # A hard rim would change by 1 from pixel to pixel.
        assert np.abs(np.diff(mask, axis=1)).max() < 0.95


def test_only_the_part_and_its_way_change(photo: Picture) -> None:
    reach = 4.0
    blurred = move_object(photo, np.random.default_rng(5), reach).astype(float)
    mask = free_form(np.random.default_rng(5), *photo.shape[:2])
    down, right = np.nonzero(mask)
    outside = np.ones(mask.shape, bool)
    outside[max(down.min() - 5, 0) : down.max() + 6, max(right.min() - 5, 0) : right.max() + 6] = False
    # One grey level of noise is all that happens there.
    assert np.abs(blurred - photo)[outside].max() < 6
    assert np.abs(blurred - photo)[mask == 1].mean() > 5


def test_light_is_kept(photo: Picture) -> None:
    for make in (move_object, move_object_and_shake):
        blurred = make(photo, np.random.default_rng(0), 3.0)
        assert to_linear(blurred).mean() == pytest.approx(to_linear(photo).mean(), rel=0.02)


def test_a_seed_says_all(photo: Picture) -> None:
    once, again, other = (move_object_and_shake(photo, np.random.default_rng(seed), 4.0) for seed in (3, 3, 4))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
