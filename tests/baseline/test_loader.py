from collections.abc import Callable

import numpy as np
import pytest
import torch

from baseline.data.loader import CropSamples, batches, to_picture, to_tensor
from baseline.data.pairs import Crops
from baseline.data.photos import photos
from baseline.data.pictures import Picture
from baseline.settings import FitSettings


def settings(**values: int) -> FitSettings:
    return FitSettings(**({"steps": 5, "batch": 2, "crop": 32, "workers": 0} | values))


class OnePicture:
    """A source whose blurred crop is its sharp crop, always the same."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def crop(self, rng: np.random.Generator, side: int) -> Crops:
        cut = self._picture[:side, :side]
        return cut, cut


@pytest.mark.parametrize(("workers", "first_step"), [(0, 0), (2, 0), (0, 3), (1, 3)])
def test_samples_depend_on_their_number_alone(workers: int, first_step: int) -> None:
    source = photos().training_crops(96)
    expected = CropSamples(source, settings())
    loaded = list(batches(source, settings(workers=workers), first_step))
    assert len(loaded) == 5 - first_step
    for step, batch in enumerate(loaded, first_step):
        for place in range(2):
            assert torch.equal(batch.blurred[place], expected[2 * step + place].blurred)
            assert torch.equal(batch.sharp[place], expected[2 * step + place].sharp)


def test_samples_differ_and_follow_the_seed() -> None:
    source = photos().training_crops(96)
    first, other = CropSamples(source, settings()), CropSamples(source, settings(seed=1))
    assert not torch.equal(first[0].sharp, first[1].sharp)
    assert not torch.equal(first[0].sharp, other[0].sharp)


def test_both_crops_are_turned_alike_in_all_eight_ways(noise: Callable[..., Picture]) -> None:
    samples = CropSamples(OnePicture(noise()), settings(steps=60))
    seen = set()
    for sample in (samples[i] for i in range(len(samples))):
        assert torch.equal(sample.blurred, sample.sharp)
        seen.add(sample.sharp.numpy().tobytes())
    turned = [np.rot90(noise()[:32, :32], turns) for turns in range(4)]
    assert seen == {to_tensor(p).numpy().tobytes() for t in turned for p in (t, t[:, ::-1])}


def test_pictures_and_tensors_hold_the_same(noise: Callable[..., Picture]) -> None:
    tensor = to_tensor(noise())
    assert tensor.shape == (3, 48, 64)
    assert tensor[2, 5, 7].item() == pytest.approx(noise()[5, 7, 2] / 255)
    assert np.array_equal(to_picture(tensor), noise())
    assert to_picture(torch.tensor([-1.0, 0.4999 / 255, 0.501 / 255, 2.0]).view(1, 2, 2)).ravel().tolist() == [
        0,
        0,
        1,
        255,
    ]
