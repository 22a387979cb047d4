from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from baseline.data.datasets import open_data
from baseline.data.mixed import Mix, blur_parts, regions
from baseline.data.pictures import Picture
from baseline.errors import UserError
from baseline.settings import DataSettings

MIX = Mix(50, 30, 20)


@pytest.mark.parametrize("mix", [MIX, Mix(20, 30, 50), Mix(80, 15, 5)])
def test_regions_have_the_areas_of_the_mix(mix: Mix) -> None:
    severe, mild = regions(np.random.default_rng(0), (200, 300), mix)
    assert not (severe & mild).any()
    assert severe.mean() == pytest.approx(mix.severe / 100, abs=1e-4)
    assert mild.mean() == pytest.approx(mix.mild / 100, abs=1e-4)
    # Of free shape: neither fills the rectangle around it.
    rows, columns = np.nonzero(severe)
    assert severe[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].mean() < 0.8


def test_each_part_is_blurred_as_it_should_be(photo: Picture) -> None:
    rng = np.random.default_rng(3)
    severe, mild = regions(rng, photo.shape[:2], MIX)
    blurred = blur_parts(photo, np.random.default_rng(3), MIX, object_is_severe=True)
    error = (blurred.astype(float) - photo).__pow__(2).mean(axis=-1)
    # The sharp part has the noise of one grey level, and the rims of what moves beside it.
    assert np.median(error[~severe & ~mild]) < 2
    assert error[severe].mean() > 2 * error[mild].mean() > 4 * np.median(error[~severe & ~mild])


@pytest.mark.parametrize(
    ("name", "expected"), [("photos-mixed-50-30-20", (25.404, 29.497)), ("photos-uniform", (19.772, 26.541))]
)
def test_sets_are_fixed(name: str, expected: tuple[float, float]) -> None:
    data = open_data(DataSettings(name=name))
    assert len(data.test) == 12
    assert data.train is None
    assert data.manifest == {"name": name, "version": 1}
    ends = data.test.only([data.test.names[0], data.test.names[-1]])
    # Of this version: whoever changes a pixel raises its number.
    assert [peak_signal_noise_ratio(pair.sharp, pair.blurred) for pair in ends] == pytest.approx(expected, abs=0.005)


def test_a_set_that_is_shipped_has_no_root(tmp_path: Path) -> None:
    for name in ("photos-uniform", "photos-mixed-80-15-5"):
        with pytest.raises(UserError, match=f"data '{name}' must have no root, it is shipped; got"):
            open_data(DataSettings(name=name, root=tmp_path))
