import numpy as np
import pytest

from baseline.data.datasets import open_data
from baseline.data.mixed import Mix, blur_parts, regions
from baseline.data.pictures import Picture
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
    ("name", "digest"),
    [("photos-mixed-50-30-20", None), ("photos-uniform", None)],
)
def test_sets_are_fixed(name: str, digest: str | None) -> None:
    data = open_data(DataSettings(name=name))
    assert len(data.test) == 12
    assert data.train is None
    first = data.test.names[0]
    (pair,), (again,) = data.test.only([first]), data.test.only([first])
    assert np.array_equal(pair.blurred, again.blurred)
    assert pair.blurred.shape == pair.sharp.shape == (768, 1024, 3)
