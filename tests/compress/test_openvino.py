from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baseline.errors import UserError
from compress.runtimes import openvino


class Spectrum(nn.Module):
    """A convolution of real and imaginary parts side by side, whose rank OpenVINO loses."""

    size_multiple = 2

    def __init__(self) -> None:
        super().__init__()
        self.mixed = nn.Conv2d(6, 6, 1)

    def forward(self, image: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(image)
        real, imaginary = self.mixed(torch.cat([spectrum.real, spectrum.imag], dim=1)).chunk(2, dim=1)
        return image + torch.fft.irfft2(torch.complex(real, imaginary), s=image.shape[-2:])


def test_an_operator_that_openvino_does_not_take_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"it does not take Conv-\d+ \(conv2d\w*\): Data batch and filters rank"):
        openvino.export(Spectrum().eval(), tmp_path / "network.xml", (64, 64))
    assert list(tmp_path.iterdir()) == []
