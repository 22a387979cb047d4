from collections.abc import Callable

import numpy as np
import pytest
import torch

from baseline.data.loader import CropSamples, Draw, StepSampler, batches, to_picture, to_tensor
from baseline.data.pairs import Crops
from baseline.data.photos import photos
from baseline.data.pictures import Picture
from baseline.settings import FitSettings


def settings(**values: object) -> FitSettings:
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
            assert torch.equal(batch.blurred[place], expected[Draw(2 * step + place, 32)].blurred)
            assert torch.equal(batch.sharp[place], expected[Draw(2 * step + place, 32)].sharp)


def test_a_fixed_set_of_crops_comes_back_in_another_order_and_after_a_restart() -> None:
    draws = [draw.sample for step in StepSampler(settings(steps=6, crop_set=4)) for draw in step]
    turns = [draws[:4], draws[4:8], draws[8:]]
    assert all(sorted(turn) == [0, 1, 2, 3] for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 1
    restarted = [draw.sample for step in StepSampler(settings(steps=6, crop_set=4), first_step=3) for draw in step]
    assert restarted == draws[6:]
    other = [draw.sample for step in StepSampler(settings(steps=6, crop_set=4, seed=1)) for draw in step]
    assert other != draws


def test_samples_differ_and_follow_the_seed() -> None:
    source = photos().training_crops(96)
    first, other = CropSamples(source, settings()), CropSamples(source, settings(seed=1))
    assert not torch.equal(first[Draw(0, 32)].sharp, first[Draw(1, 32)].sharp)
    assert not torch.equal(first[Draw(0, 32)].sharp, other[Draw(0, 32)].sharp)


def test_both_crops_are_turned_alike_in_all_eight_ways(noise: Callable[..., Picture]) -> None:
    samples = CropSamples(OnePicture(noise()), settings())
    seen = set()
    for sample in (samples[Draw(i, 32)] for i in range(120)):
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


PHASES = ({"name": "small", "share": 0.4, "crop": 16, "batch": 4}, {"name": "large", "share": 0.6})


def test_phases_draw_their_own_crops_and_never_a_sample_twice() -> None:
    drawn = list(StepSampler(settings(phases=PHASES)))
    assert [[draw.crop for draw in step] for step in drawn] == [[16] * 4] * 2 + [[32] * 2] * 3
    assert [draw.sample for step in drawn for draw in step] == list(range(4 + 4 + 2 + 2 + 2))


def test_a_resume_that_skips_data_would_be_seen() -> None:
    whole = list(StepSampler(settings(phases=PHASES)))
    for first_step in range(5):
        rest = StepSampler(settings(phases=PHASES), first_step)
        assert list(rest) == whole[first_step:]
        assert len(rest) == 5 - first_step


def test_processes_share_out_every_batch() -> None:
    whole = list(StepSampler(settings(phases=PHASES)))
    parts = [list(StepSampler(settings(phases=PHASES, processes=2), process=number)) for number in (0, 1)]
    assert [first + second for first, second in zip(*parts, strict=True)] == whole
    assert all(len(first) == len(second) for first, second in zip(*parts, strict=True))
