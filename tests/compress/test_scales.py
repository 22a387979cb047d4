"""How small the numbers may be that INT8 keeps."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from compress import int8
from compress.known import OF_NOTHING, known_of
from compress.quantize import SCHEMES, Material
from compress.quantizing_settings import QuantizeSettings
from compress.rewriting import agreement_db, outputs_on
from compress.runtimes import onnxruntime
from compress.runtimes.table import open_deployable
from compress.scales import raise_scales_


class From255(nn.Module):
    """Trained on 0..255; the factor that leads back stands in its last weights, or outside them."""

    def __init__(self, inside: bool, factor: float = 1 / 255) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.head, self.out = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 3, 3, padding=1)
        self.outside = 1.0 if inside else factor
        with torch.no_grad():
            for values in self.out.parameters():
                values.mul_(0.2 * (factor if inside else 1.0))

    def forward(self, image: Tensor) -> Tensor:
        return image + self.out(torch.relu(self.head(255 * image))) * self.outside


class SmallInside(nn.Module):
    """Its activations are as small as the factor says."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.head, self.out = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 3, 3, padding=1)
        self.factor = factor
        with torch.no_grad():
            for values in (*self.head.parameters(), self.out.bias):
                values.mul_(factor)

    def forward(self, image: Tensor) -> Tensor:
        return image + self.out(torch.relu(self.head(image))) / self.factor


def quantized(network: nn.Module, crops: list[Tensor], scheme: str = "int8", sums: str = "float") -> nn.Module:
    settings = QuantizeSettings(scheme=scheme, sums=sums)
    state, report = SCHEMES[scheme].state(network, Material(crops, crops, lambda _: None), settings)
    return SCHEMES[scheme].rebuild(network, state, report.options, "cpu")


def agreement(quantized: nn.Module, network: nn.Module, picture: Tensor) -> float:
    return agreement_db(outputs_on(quantized, [picture]), outputs_on(network, [picture]))


@pytest.mark.parametrize("factor", [1 / 255, 1e-4, 1e-8])
@pytest.mark.parametrize(("scheme", "sums"), [("int8", "float"), ("int8", "int8"), ("int8-qat", "float")])
def test_small_weights_agree_as_large_ones_do(
    factor: float, scheme: str, sums: str, crops: list[Tensor], photo_tensor: Tensor
) -> None:
    pair = [From255(inside, factor).eval() for inside in (True, False)]
    within, outside = (agreement(quantized(n, crops, scheme, sums), n, photo_tensor) for n in pair)
    assert within == pytest.approx(outside, abs=1)


@pytest.mark.parametrize("sums", ["float", "int8"])
def test_small_activations_agree_as_large_ones_do(sums: str, crops: list[Tensor], photo_tensor: Tensor) -> None:
    small, large = (SmallInside(factor).eval() for factor in (1e-6, 1.0))
    found, expected = (agreement(quantized(n, crops, sums=sums), n, photo_tensor) for n in (small, large))
    assert found == pytest.approx(expected, abs=1)


def test_a_file_keeps_small_weights(crops: list[Tensor], photo_tensor: Tensor, tmp_path: Path) -> None:
    found = []
    for inside in (True, False):
        network = From255(inside, 1e-4).eval()
        onnxruntime.export(quantized(network, crops, sums="int8"), tmp_path / "network.onnx", (64, 64))
        restored = open_deployable(tmp_path / "network.onnx")(photo_tensor)
        found.append(agreement_db([restored], outputs_on(network, [photo_tensor])))
    assert found[0] == pytest.approx(found[1], abs=1)


def with_bias(weights: float, bias: float) -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.Conv2d(3, 3, 1)).eval()
    with torch.no_grad():
        network[2].weight.mul_(weights)
        network[2].bias.fill_(bias)
    return network


def test_biases_fit_the_integers_in_which_runtimes_add_them(crops: list[Tensor], tmp_path: Path) -> None:
    network = with_bias(weights=1e-9, bias=0.5)
    state, report = SCHEMES["int8"].state(network, Material(crops, crops), QuantizeSettings(scheme="int8", sums="int8"))
    (note,) = report.notes
    assert note.startswith("2: steps of its weights are up to ")
    assert note.endswith(" times as wide (3 of 3), so that runtimes can add its bias in 32 bits")
    converted = SCHEMES["int8"].rebuild(network, state, report.options, "cpu")
    onnxruntime.export(converted, tmp_path / "network.onnx", (64, 64))
    restored = open_deployable(tmp_path / "network.onnx")(crops[0])
    assert agreement_db([restored], outputs_on(network, crops[:1])) > 40


def test_what_holds_nothing_has_a_scale_that_is_no_extreme(crops: list[Tensor]) -> None:
    network = with_bias(weights=0.0, bias=0.0)
    prepared = int8.prepare(network, int8.Plan(sums="int8"))
    int8.calibrate_(prepared, crops)
    assert raise_scales_(prepared) == []
    scales = torch.cat([known.scale.flatten() for known in known_of(prepared)])
    assert scales.min() == OF_NOTHING
    assert sum(scales == OF_NOTHING) >= 4


def test_an_output_that_never_was_anything_is_wide_enough_for_its_products(crops: list[Tensor]) -> None:
    network = with_bias(weights=1.0, bias=0.0)
    with torch.no_grad():
        network[0].weight.mul_(1e4)
        network[0].bias.fill_(-1e6)
    prepared = int8.prepare(network, int8.Plan(sums="int8"))
    int8.calibrate_(prepared, crops)
    (note,) = [note for note in raise_scales_(prepared) if "output" in note]
    assert note.startswith("0: steps of its output are up to ")
    assert note.endswith(" (1 of 1), so that XNNPACK takes it")
