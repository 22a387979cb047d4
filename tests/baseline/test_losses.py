import numpy as np
import pytest
import torch
from torch import Tensor

from baseline.data.loader import Batch
from baseline.losses import TERMS, frequency_l1, supervised
from baseline.settings import LossSettings


def at_three_scales(value: float) -> list[Tensor]:
    return [torch.full((2, 3, side, side), value) for side in (8, 16, 32)]


def test_constants_give_the_sum_over_the_scales() -> None:
    batch = Batch(torch.zeros(2, 3, 32, 32), torch.full((2, 3, 32, 32), 0.5))
    terms = supervised(LossSettings())(at_three_scales(0.7), batch)
    assert terms["l1"].item() == pytest.approx(3 * 0.2)
    # Only the zero frequency differs, by 0.2 x pixels, among 2 x pixels real and imaginary parts.
    assert terms["frequency"].item() == pytest.approx(0.1 * 3 * 0.2 / 2, rel=1e-5)


def test_without_weight_there_is_no_frequency_term() -> None:
    batch = Batch(torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 32, 32))
    assert set(supervised(LossSettings(frequency=0))(at_three_scales(0.7), batch)) == {"l1"}


def test_the_target_is_shrunk_bilinearly() -> None:
    sharp = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    halved = sharp.view(1, 3, 4, 2, 4, 2).mean(dim=(3, 5))
    quartered = sharp.view(1, 3, 2, 4, 2, 4)[:, :, :, 1:3, :, 1:3].mean(dim=(3, 5))
    terms = supervised(LossSettings())([quartered, halved, sharp], Batch(sharp, sharp))
    assert sum(terms.values()).item() == pytest.approx(0, abs=1e-6)


def test_frequency_loss_is_that_of_numpy() -> None:
    output, target = torch.rand(2, 2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    difference = np.fft.fft2(output.double().numpy()) - np.fft.fft2(target.double().numpy())
    expected = (np.abs(difference.real).mean() + np.abs(difference.imag).mean()) / 2
    assert frequency_l1(output, target).item() == pytest.approx(expected, rel=1e-5)
    assert frequency_l1(output, output).item() == 0


def test_a_single_output_is_scored_at_its_own_scale() -> None:
    sharp = torch.zeros(1, 3, 16, 16)
    terms = supervised(LossSettings(frequency=0))([torch.full((1, 3, 16, 16), 0.25)], Batch(sharp, sharp))
    assert terms["l1"].item() == pytest.approx(0.25)


ARTICLE = LossSettings(l1=1, frequency=0, ssim=0.1, scales=(1, 0.5, 0.25))


def test_every_term_has_a_weight_in_the_settings() -> None:
    assert set(LossSettings.model_fields) == set(TERMS) | {"scales"}


def test_the_articles_loss_weights_the_scales_and_adds_ssim() -> None:
    batch = Batch(torch.zeros(2, 3, 32, 32), torch.full((2, 3, 32, 32), 0.5))
    terms = supervised(ARTICLE)(at_three_scales(0.7), batch)
    assert set(terms) == {"l1", "ssim"}
    assert terms["l1"].item() == pytest.approx(0.2 * (1 + 0.5 + 0.25))
    # SSIM of two constants is its luminance term, as there is no variance.
    ssim = (2 * 0.7 * 0.5 + 0.01**2) / (0.7**2 + 0.5**2 + 0.01**2)
    assert terms["ssim"].item() == pytest.approx(0.1 * (1 - ssim) * (1 + 0.5 + 0.25), rel=1e-4)


def test_a_coarse_output_alone_keeps_the_weight_of_its_scale() -> None:
    batch = Batch(torch.zeros(2, 3, 32, 32), torch.full((2, 3, 32, 32), 0.5))
    terms = supervised(ARTICLE)(at_three_scales(0.7)[:1], batch)
    assert terms["l1"].item() == pytest.approx(0.2 * 0.25)


def test_ssim_is_that_of_skimage_inside_the_borders() -> None:
    from skimage.metrics import structural_similarity

    output, target = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    expected = structural_similarity(output[0].numpy(), target[0].numpy(), channel_axis=0, **options)
    assert TERMS["ssim"](output, target).item() == pytest.approx(1 - expected, abs=0.01)
    assert TERMS["ssim"](output, output).item() == pytest.approx(0, abs=1e-6)


def test_psnr_is_the_mean_over_the_pictures() -> None:
    target = torch.zeros(2, 3, 8, 8)
    output = torch.stack([torch.full((3, 8, 8), 0.1), torch.full((3, 8, 8), 0.01)])
    assert TERMS["psnr"](output, target).item() == pytest.approx(-(20 + 40) / 2, abs=1e-3)


def test_charbonnier_is_l1_far_from_zero_and_smooth_at_zero() -> None:
    target = torch.zeros(1, 3, 8, 8)
    assert TERMS["charbonnier"](target + 0.3, target).item() == pytest.approx(np.sqrt(0.09 + 1e-6))
    output = torch.zeros(1, 3, 8, 8, requires_grad=True)
    TERMS["charbonnier"](output, target).backward()
    assert output.grad is not None and output.grad.abs().max().item() == 0


@pytest.mark.parametrize("weights", [{"l1": 0, "frequency": 0}, {"scales": (1, 0, 1)}, {"l1": -1}])
def test_a_loss_without_weight_is_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"a weight above 0|greater than or equal to 0"):
        LossSettings(**weights)
