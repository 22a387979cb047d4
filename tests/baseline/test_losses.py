import numpy as np
import pytest
import torch
from torch import Tensor

from baseline.data.loader import Batch
from baseline.losses import frequency_l1, supervised


def at_three_scales(value: float) -> list[Tensor]:
    return [torch.full((2, 3, side, side), value) for side in (8, 16, 32)]


def test_constants_give_the_sum_over_the_scales() -> None:
    batch = Batch(torch.zeros(2, 3, 32, 32), torch.full((2, 3, 32, 32), 0.5))
    terms = supervised(0.1)(at_three_scales(0.7), batch)
    assert terms["l1"].item() == pytest.approx(3 * 0.2)
    # Only the zero frequency differs, by 0.2 x pixels, among 2 x pixels real and imaginary parts.
    assert terms["frequency"].item() == pytest.approx(0.1 * 3 * 0.2 / 2, rel=1e-5)


def test_without_weight_there_is_no_frequency_term() -> None:
    batch = Batch(torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 32, 32))
    assert set(supervised(0.0)(at_three_scales(0.7), batch)) == {"l1"}


def test_the_target_is_shrunk_bilinearly() -> None:
    sharp = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    halved = sharp.view(1, 3, 4, 2, 4, 2).mean(dim=(3, 5))
    quartered = sharp.view(1, 3, 2, 4, 2, 4)[:, :, :, 1:3, :, 1:3].mean(dim=(3, 5))
    terms = supervised(0.1)([quartered, halved, sharp], Batch(sharp, sharp))
    assert sum(terms.values()).item() == pytest.approx(0, abs=1e-6)


def test_frequency_loss_is_that_of_numpy() -> None:
    output, target = torch.rand(2, 2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    difference = np.fft.fft2(output.double().numpy()) - np.fft.fft2(target.double().numpy())
    expected = (np.abs(difference.real).mean() + np.abs(difference.imag).mean()) / 2
    assert frequency_l1(output, target).item() == pytest.approx(expected, rel=1e-5)
    assert frequency_l1(output, output).item() == 0


def test_a_single_output_is_scored_at_its_own_scale() -> None:
    sharp = torch.zeros(1, 3, 16, 16)
    terms = supervised(0.0)([torch.full((1, 3, 16, 16), 0.25)], Batch(sharp, sharp))
    assert terms["l1"].item() == pytest.approx(0.25)
