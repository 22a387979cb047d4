import numpy as np
import pytest

from baseline.data.datasets import open_data
from baseline.data.moving import free_form, still_object
from baseline.data.partly import BLURS, partly, stay_sharp
from baseline.data.pictures import Picture
from baseline.settings import DataSettings


def test_pictures_come_about_in_every_way_by_their_shares() -> None:
    assert sum(BLURS.values()) == pytest.approx(1)
    small = np.random.default_rng(0).integers(60, 200, (48, 64, 3)).astype(np.uint8)
    sharp = [np.abs(partly(small, np.random.default_rng(seed), 6.0).astype(int) - small).max() for seed in range(120)]
    assert np.mean(np.array(sharp) <= 8) == pytest.approx(BLURS[stay_sharp], abs=0.12)


def test_a_sharp_picture_has_noise_and_no_blur(photo: Picture) -> None:
    difference = stay_sharp(photo, np.random.default_rng(0), 6.0).astype(int) - photo
    assert abs(difference.mean()) < 0.1
    assert difference.std() == pytest.approx(1, abs=0.15)


def test_what_stands_still_is_sharp_and_the_rest_is_not() -> None:
    texture = np.random.default_rng(0).integers(60, 200, (192, 256, 3)).astype(np.uint8)
    change = np.abs(still_object(texture, np.random.default_rng(3), 6.0).astype(int) - texture).mean(axis=2)
    mask = free_form(np.random.default_rng(3), *texture.shape[:2])
    assert change[mask == 1].mean() < 2
    assert change[mask == 0].mean() > 20


def test_the_set_trains_and_scores_on_photographs_of_its_own_splits() -> None:
    data = open_data(DataSettings(name="photos-partly"))
    blurred, sharp = data.training_crops(64).crop(np.random.default_rng(0), 64)
    assert blurred.shape == sharp.shape == (64, 64, 3)
    assert data.val is not None
    assert not {pair.rpartition("-")[0] for pair in data.val.names} & {p.rpartition("-")[0] for p in data.test.names}
