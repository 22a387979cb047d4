import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from baseline.data.blur import shake
from baseline.data.loader import to_tensor
from baseline.data.pictures import Picture
from baseline.metrics import psnr, ssim


def pair(kind: str, photo: Picture) -> tuple[Picture, Picture]:
    rng = np.random.default_rng(0)
    if kind == "random":
        return rng.integers(0, 256, (2, 40, 56, 3), dtype=np.uint8)
    return shake(photo, rng, 5.0), photo


@pytest.mark.parametrize("kind", ["random", "real"])
def test_both_metrics_are_those_of_scikit_image(kind: str, photo: Picture) -> None:
    restored, sharp = pair(kind, photo)
    expected_db = peak_signal_noise_ratio(sharp / 255, restored / 255, data_range=1)
    expected_ssim = structural_similarity(
        sharp / 255,
        restored / 255,
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=2,
    )
    ours, theirs = to_tensor(restored)[None], to_tensor(sharp)[None]
    assert psnr(ours, theirs).item() == pytest.approx(expected_db, abs=1e-3)
    assert ssim(ours, theirs).item() == pytest.approx(expected_ssim, abs=1e-4)


def test_each_pair_is_scored_on_its_own() -> None:
    sharp = torch.zeros(2, 3, 16, 16)
    restored = torch.stack([torch.full((3, 16, 16), 51 / 255), torch.full((3, 16, 16), 102 / 255)])
    # An error of 1/5 is 20 log10(5) dB, one of 2/5 is 20 log10(5/2).
    assert psnr(restored, sharp).tolist() == pytest.approx([13.9794, 7.9588], abs=1e-4)


def test_an_error_below_half_a_grey_level_is_not_seen(photo: Picture) -> None:
    sharp = to_tensor(photo)[None]
    assert psnr(sharp + 0.49 / 255, sharp).item() == 100.0
    assert torch.equal(ssim(sharp + 0.49 / 255, sharp), ssim(sharp, sharp))
    assert ssim(sharp, sharp).item() == pytest.approx(1, abs=1e-4)
    assert psnr(sharp + 0.51 / 255, sharp).item() == pytest.approx(20 * np.log10(255), abs=0.2)


def test_values_outside_the_range_are_clamped() -> None:
    sharp = torch.ones(1, 3, 16, 16)
    assert psnr(sharp + 0.5, sharp).item() == 100.0


def test_a_picture_in_0_to_255_is_scored_as_wrong(photo: Picture) -> None:
    sharp = to_tensor(photo)[None]
    assert psnr(255 * sharp, sharp).item() < 15
    assert ssim(255 * sharp, sharp).item() < 0.6
