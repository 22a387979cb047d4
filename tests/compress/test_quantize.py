from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baseline.artifact import Artifact, load, read_manifest
from baseline.errors import UserError
from baseline.restorer import Finest, NetworkRestorer
from compress import int8
from compress.cost import deployed_params, weight_bytes
from compress.quantize import SCHEMES, dtype_of, open_artifact, quantize
from compress.settings import QuantizeSettings

MODULE = """
from torch import nn

class Negative(nn.Module):
    def forward(self, image):
        return 1 - image
"""

OPENS = """
import sys, torch
from pathlib import Path
from compress.quantize import open_artifact
torch.set_num_threads(1)
with torch.no_grad():
    torch.save(open_artifact(Path(sys.argv[1]))(torch.load(sys.argv[2])), sys.argv[3])
"""


def psnr_db(one: Tensor, other: Tensor) -> float:
    return -10 * np.log10((one - other).square().mean().item())


@torch.no_grad()
def run(network: nn.Module, picture: Tensor) -> Tensor:
    return network(picture)


@pytest.fixture(scope="module")
def fp16_folder(tmp_path_factory: pytest.TempPathFactory, float_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("artifacts") / "fp16"
    report = quantize(load(float_folder), [], "fp16", folder)
    assert "head" in report.quantized
    assert report.calibration == "none needed"
    return folder


def test_a_loaded_int8_artifact_gives_the_output_of_the_network_that_was_quantized(
    float_folder: Path,
    int8_folder: Path,
    crops: list[Tensor],
    photo_tensor: Tensor,
    tmp_path: Path,
    run_python: Callable[..., object],
) -> None:
    prepared = int8.prepare(load(float_folder).network, int8.weight_bits_here())
    int8.calibrate_(prepared, crops)
    quantized = run(int8.convert(prepared), photo_tensor)
    torch.save(photo_tensor, tmp_path / "in.pt")
    done = run_python("-c", OPENS, str(int8_folder), "in.pt", "out.pt")
    assert done.returncode == 0, done.stderr
    assert torch.equal(torch.load(tmp_path / "out.pt"), quantized)


def test_weights_have_the_bits_that_the_artifact_says(
    float_folder: Path, crops: list[Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for saturates, bits, largest in ((True, 7, 64), (False, 8, 128)):
        monkeypatch.setattr(int8, "saturates_int8", lambda saturates=saturates: saturates)
        folder = tmp_path / str(bits)
        quantize(load(float_folder), crops, "int8", folder)
        monkeypatch.setattr(int8, "saturates_int8", lambda saturates=saturates: not saturates)
        levels = [t for t in open_artifact(folder).state_dict().values() if t.dtype == torch.int8]
        assert read_manifest(folder).quantization == {"scheme": "int8", "weight_bits": bits}
        assert largest / 2 < max(t.abs().max().item() for t in map(torch.Tensor.int, levels)) <= largest


def test_int8_says_nearly_what_float_says(float_folder: Path, int8_folder: Path, photo_tensor: Tensor) -> None:
    whole = run(Finest(load(float_folder).network), photo_tensor)
    quantized = run(open_artifact(int8_folder), photo_tensor)
    assert 30 < psnr_db(quantized, whole) < 80
    # Against what the network adds to the picture, not only against the picture.
    assert (quantized - whole).square().mean() < (whole - photo_tensor).square().mean() / 10


def test_int8_takes_any_size_that_fits(int8_folder: Path) -> None:
    opened = open_artifact(int8_folder)
    assert opened.size_multiple == 4
    for size in ((32, 32), (40, 100)):
        restored = NetworkRestorer(opened)(torch.rand(2, 3, *size))
        assert restored.shape == (2, 3, *size)


def test_the_census_says_what_became_integer_and_what_did_not(float_folder: Path, crops: list[Tensor]) -> None:
    _, report = SCHEMES["int8"].state(load(float_folder).network, crops)
    deployed = {
        name: layer
        for name, layer in load(float_folder).network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and name not in ("out.0", "out.1")
    }
    transposed = {name for name, layer in deployed.items() if isinstance(layer, nn.ConvTranspose2d)}
    assert transposed == {"up.0", "up.1"} == set(report.in_float)
    assert set(report.in_float.values()) == {"transposed convolutions have no integer kernel in this runtime"}
    assert set(report.quantized) == set(deployed) - transposed


def test_int8_weights_are_a_quarter_for_what_is_quantized(float_folder: Path, int8_folder: Path) -> None:
    network = load(float_folder).network
    params = deployed_params(network)
    transposed = sum(p.numel() for p in network.up.parameters())
    at_least = params - transposed + 4 * transposed
    assert at_least < weight_bytes(open_artifact(int8_folder), params) < 0.5 * 4 * params
    assert weight_bytes(open_artifact(float_folder), params) == 4 * params


def test_fp16_halves_the_file_and_hardly_changes_the_output(
    float_folder: Path, fp16_folder: Path, photo_tensor: Tensor
) -> None:
    sizes = [(folder / "weights.safetensors").stat().st_size for folder in (fp16_folder, float_folder)]
    assert sizes[0] / sizes[1] == pytest.approx(0.5, abs=0.04)
    opened = open_artifact(fp16_folder)
    assert {p.dtype for p in opened.parameters()} == {torch.float16}
    half = run(opened, photo_tensor)
    assert half.dtype == torch.float32
    whole = run(Finest(load(float_folder).network), photo_tensor)
    assert 0 < (half - whole).abs().max() < 4e-3
    params = deployed_params(load(float_folder).network)
    assert weight_bytes(opened, params) == 2 * params


def test_an_artifact_knows_its_arithmetic(float_folder: Path, fp16_folder: Path, int8_folder: Path) -> None:
    assert [dtype_of(f) for f in (float_folder, fp16_folder, int8_folder)] == ["fp32", "fp16", "int8"]
    assert read_manifest(int8_folder).quantization["scheme"] == "int8"
    with pytest.raises(UserError, match=r"it is quantized \(int8\)\. Train, prune and distil before quantizing\."):
        load(int8_folder)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_touching_no_layer_is_an_error(
    scheme: str, crops: list[Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users_negative.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    artifact = Artifact.new("users_negative:Negative", {}, seed=0)
    with pytest.raises(UserError) as error:
        quantize(artifact, crops, scheme, tmp_path / "out")
    assert str(error.value) == (
        f"scheme '{scheme}' must quantize at least one layer of the network; the network has none."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("value", "said"), [(0.5, "calibration crops must differ; all hold one value"), (float("nan"), "some hold NaN")]
)
def test_calibration_that_says_nothing_is_refused(float_folder: Path, tmp_path: Path, value: float, said: str) -> None:
    with pytest.raises(UserError, match=said):
        quantize(load(float_folder), [torch.full((1, 3, 64, 64), value)] * 3, "int8", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_bad_crop_among_good_ones_is_refused(float_folder: Path, crops: list[Tensor], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must hold finite numbers"):
        quantize(load(float_folder), [*crops, torch.full((1, 3, 64, 64), torch.inf)], "int8", tmp_path / "out")


def test_an_unknown_scheme_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"^no quantization scheme 'int4'\. Did you mean 'int8'\? Known: fp16, int8\.$"):
        QuantizeSettings(scheme="int4")
