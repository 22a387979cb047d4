import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from baseline.data.loader import to_tensor
from baseline.data.photos import fixed_pairs
from baseline.data.pictures import Picture
from baseline.measurement import METRICS
from baseline.metrics import QUALITY, edge_sharpness, lpips, psnr, ssim


def pair(kind: str) -> tuple[Picture, Picture]:
    """A pair of noise of the seed in its name, or one of the shipped photographs' fixed pairs."""
    name, _, number = kind.partition(" ")
    if name == "random":
        return tuple(np.random.default_rng(int(number)).integers(0, 256, (2, 40, 56 + int(number), 3), dtype=np.uint8))
    pairs = fixed_pairs("test")
    real = next(iter(pairs.only([pairs.names[int(number)]])))
    return real.blurred, real.sharp


@pytest.mark.parametrize("kind", [*(f"random {i}" for i in range(4)), *(f"real {i}" for i in (0, 2, 13, 23))])
def test_both_metrics_are_those_of_scikit_image(kind: str) -> None:
    restored, sharp = pair(kind)
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


@pytest.mark.parametrize("metric", QUALITY)
def test_a_metric_on_the_wrong_range_is_an_error(metric: str, photo_tensor: Tensor) -> None:
    right = photo_tensor
    for wrong in (255 * right, 255 * right.flip(-1)):
        with pytest.raises(ValueError, match=r"a picture to score must lie in 0\.\.1; its values average 1\d\d"):
            QUALITY[metric](wrong, right)
    with pytest.raises(ValueError, match=r"a sharp picture must lie in 0\.\.1; it reaches from 0 to 2\d\d"):
        QUALITY[metric](right, 255 * right)
    with pytest.raises(ValueError, match=r"a sharp picture must lie in 0\.\.1; it reaches from -1"):
        QUALITY[metric](right, 2 * right - 1)
    for value in (float("nan"), float("inf")):
        spoilt = right.clone()
        spoilt[0, 0, 5, 5] = value
        with pytest.raises(ValueError, match="values that are not finite"):
            QUALITY[metric](spoilt, right)
        with pytest.raises(ValueError, match="a sharp picture must lie in"):
            QUALITY[metric](right, spoilt)


def test_every_metric_has_its_unit_and_scores_an_equal_picture_best(photo_tensor: Tensor) -> None:
    best = {"psnr_db": 100.0, "ssim": 1.0, "lpips": 0.0, "edge_sharpness": 1.0}
    assert {key: metric(photo_tensor, photo_tensor).item() for key, metric in QUALITY.items()} == pytest.approx(
        best, abs=1e-5
    )
    assert set(QUALITY) <= set(METRICS)


def test_a_smoothed_step_has_the_steepness_of_its_slope() -> None:
    step, slope = torch.zeros(1, 3, 16, 64), torch.zeros(1, 3, 16, 64)
    step[..., 32:] = 1
    # Steps at 2 of 62 inner columns; over 4 columns, a central difference of 2/5 stands where 1 stood before.
    slope[..., 30:] = torch.tensor([0.2, 0.4, 0.6, 0.8, *[1.0] * 30])
    assert edge_sharpness(slope, step).item() == pytest.approx(0.4, abs=1e-6)
    assert edge_sharpness(0.5 * step, step).item() == pytest.approx(128 / 255, abs=1e-6)


def test_the_edges_are_the_tenth_of_the_sharp_picture_with_the_largest_gradients() -> None:
    # A slope of 1 level a column, then one of 4: of the 100 inner columns the steepest ten are those from 91 on.
    levels = torch.tensor([*range(90), *range(90, 90 + 4 * 12, 4)])
    picture = (levels / 255).expand(1, 3, 12, 102)
    assert edge_sharpness((levels.clamp(min=90) / 255).expand_as(picture), picture).item() == pytest.approx(1)
    # Flat up to column 95, which keeps half a slope.
    assert edge_sharpness((levels.clamp(min=110) / 255).expand_as(picture), picture).item() == pytest.approx(5.5 / 10)


def test_edges_are_seen_in_every_direction(photo_tensor: Tensor) -> None:
    blurred = torch.nn.functional.avg_pool2d(photo_tensor, 5, stride=1, padding=2)
    value = edge_sharpness(blurred, photo_tensor).item()
    assert value < 0.7
    assert edge_sharpness(blurred.mT, photo_tensor.mT).item() == pytest.approx(value)


def test_a_picture_of_one_colour_has_no_edges_to_lose(photo_tensor: Tensor) -> None:
    flat = torch.full_like(photo_tensor, 0.3)
    assert edge_sharpness(photo_tensor, flat).item() == 1


def test_stripes_of_equal_gradients_can_lose_them() -> None:
    # Two columns black, two white: every inner pixel has the same gradient, and none has a larger one.
    stripes = (torch.arange(64) // 2 % 2).float().expand(1, 3, 16, 64)
    assert edge_sharpness(torch.full_like(stripes, 0.5), stripes).item() == 0
    assert edge_sharpness(0.6 * stripes, stripes).item() == pytest.approx(0.6)


def test_lpips_of_a_batch_is_that_of_each_pair(photo_tensor: Tensor) -> None:
    first, second = photo_tensor[..., :64, :80], photo_tensor[..., 64:128, 80:160]
    alone = [lpips(first, second).item(), lpips(second, second).item()]
    assert lpips(torch.cat([first, second]), torch.cat([second, second])).tolist() == pytest.approx(alone, abs=1e-6)
