from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baseline.artifact import Artifact, load, read_manifest, read_state
from baseline.errors import UserError
from baseline.restorer import Finest, NetworkRestorer
from compress import int8
from compress.cost import deployed_params, weight_bytes
from compress.half import check_range
from compress.known import Known, known_of
from compress.quantize import SCHEMES, Material, QuantizeReport, dtype_of, open_artifact, quantize
from compress.quantizing_settings import QuantizeSettings

MODULE = """
from torch import nn

class Negative(nn.Module):
    def forward(self, image):
        return 1 - image
"""

TWO_LAYERS = """
import torch
from torch import nn

class Two(nn.Module):
    # One channel of the harmful layer's input is a thousand times as large as the others, and is not used.
    def __init__(self):
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 1, bias=False)
        self.harmful = nn.Conv2d(4, 3, 1, bias=False)
        with torch.no_grad():
            self.fine.weight.zero_()
            self.fine.weight[:3, :, 0, 0] = torch.eye(3)
            self.fine.weight[3] = 1000
            self.harmful.weight.zero_()
            self.harmful.weight[:, :3, 0, 0] = torch.eye(3)

    def forward(self, image):
        return self.harmful(self.fine(image))
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


def quantized(folder: Path, material: Material, out: Path, **settings: object) -> QuantizeReport:
    return quantize(load(folder), material, QuantizeSettings(**settings), out)


@pytest.fixture(scope="module")
def fp16_folder(tmp_path_factory: pytest.TempPathFactory, float_folder: Path, material: Material) -> Path:
    folder = tmp_path_factory.mktemp("artifacts") / "fp16"
    report = quantized(float_folder, material, folder, scheme="fp16")
    assert "head" in report.quantized
    assert report.calibration == "none needed"
    assert report.notes[0].endswith("; FP16 holds 65504")
    assert report.notes[2].endswith(" of the FP32 output; float16 may be by 0.016")
    assert 60 < report.agreement_db < 100
    return folder


def test_a_loaded_int8_artifact_gives_the_output_of_the_network_that_was_quantized(
    float_folder: Path,
    int8_folder: Path,
    crops: list[Tensor],
    photo_tensor: Tensor,
    tmp_path: Path,
    run_python: Callable[..., object],
) -> None:
    prepared = int8.prepare(load(float_folder).network, int8.Plan())
    int8.calibrate_(prepared, crops)
    expected = run(int8.convert(prepared), photo_tensor)
    torch.save(photo_tensor, tmp_path / "in.pt")
    done = run_python("-c", OPENS, str(int8_folder), "in.pt", "out.pt")
    assert done.returncode == 0, done.stderr
    assert torch.equal(torch.load(tmp_path / "out.pt"), expected)


def test_weights_have_the_bits_that_the_artifact_says(
    float_folder: Path, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for saturates, bits, largest in ((True, 7, 64), (False, 8, 128)):
        monkeypatch.setattr(int8, "saturates_int8", lambda saturates=saturates: saturates)
        folder = tmp_path / str(bits)
        quantized(float_folder, material, folder, scheme="int8")
        monkeypatch.setattr(int8, "saturates_int8", lambda saturates=saturates: not saturates)
        levels = [t for t in open_artifact(folder).state_dict().values() if t.dtype == torch.int8]
        plan = {"weight_bits": bits, "sums": "float", "in_float": [], "left_transposed": [], "folds_norms": True}
        assert read_manifest(folder).quantization == {"scheme": "int8"} | plan
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


@pytest.mark.parametrize("sums", ["float", "int8"])
def test_every_convolution_becomes_integer_transposed_ones_too(
    float_folder: Path, material: Material, tmp_path: Path, sums: str
) -> None:
    report = quantized(float_folder, material, tmp_path / "out", scheme="int8", sums=sums)
    deployed = {
        f"{name}.phases" if isinstance(layer, nn.ConvTranspose2d) else name
        for name, layer in load(float_folder).network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and name not in ("out.0", "out.1")
    }
    assert {"up.0.phases", "up.1.phases", "head"} < deployed
    assert set(report.quantized) == deployed
    assert report.in_float == {}


@pytest.mark.parametrize(
    ("settings", "least_db"),
    [
        ({"scheme": "fp16"}, 70),
        ({"scheme": "bf16"}, 45),
        ({"scheme": "int8"}, 40),
        ({"scheme": "int8", "sums": "int8"}, 40),
        ({"scheme": "int8-mixed"}, 40),
        ({"scheme": "int8-qat"}, 40),
    ],
)
def test_a_network_of_gates_and_norms_takes_every_scheme(
    crops: list[Tensor], photo_tensor: Tensor, tmp_path: Path, settings: dict[str, str], least_db: float
) -> None:
    artifact = Artifact.new("nafnet", {"width": 8, "num_blocks": 1}, seed=0)
    for name, parameter in artifact.network.named_parameters():
        if name.endswith(("beta", "gamma")):  # where they are zero, blocks do nothing
            nn.init.normal_(parameter, std=0.3)
    report = quantize(
        artifact, Material(crops, crops, lambda _: None), QuantizeSettings(**settings), tmp_path / "quantized"
    )
    convolutions = {name for name, m in artifact.network.named_modules() if isinstance(m, nn.Conv2d)}
    assert len(convolutions) == 5 * 6 + 6
    assert convolutions <= {*report.quantized, *report.in_float}
    assert set(report.in_float) == set() or settings["scheme"] == "int8-mixed"
    whole = run(artifact.network.eval(), photo_tensor)
    found = psnr_db(run(open_artifact(tmp_path / "quantized"), photo_tensor), whole)
    assert least_db < found < least_db + 25
    assert psnr_db(photo_tensor, whole) < 20


def test_sums_in_integers_leave_no_float_between_the_layers(
    float_folder: Path, material: Material, tmp_path: Path, photo_tensor: Tensor
) -> None:
    quantized(float_folder, material, tmp_path / "out", scheme="int8", sums="int8")
    converted = open_artifact(tmp_path / "out")
    last = next(node for node in converted.graph.nodes if node.op == "output").all_input_nodes
    kinds = ("conv2d", "add", "mul", "cat", "upsample", "relu")
    for node in converted.graph.nodes:
        name = str(node.target)
        if node.op == "call_function" and any(f"aten.{kind}" in name for kind in kinds) and node not in last:
            sources = [a for a in node.all_input_nodes if "bias" not in a.name]
            fused = ("relu" in name and "conv2d" in str(sources[0].target)) or "add" in str(sources[0].target)
            assert fused or all("dequantize" in str(a.target) for a in sources), node
    whole = run(Finest(load(float_folder).network), photo_tensor)
    assert 30 < psnr_db(run(converted, photo_tensor), whole) < 80


def test_int8_weights_are_a_quarter(float_folder: Path, int8_folder: Path) -> None:
    params = deployed_params(load(float_folder).network)
    assert params < weight_bytes(open_artifact(int8_folder), params) < 0.5 * 4 * params
    assert weight_bytes(open_artifact(float_folder), params) == 4 * params


def test_what_simulates_int8_computes_what_int8_computes(
    float_folder: Path, crops: list[Tensor], photo_tensor: Tensor
) -> None:
    prepared = int8.prepare(load(float_folder).network, int8.Plan(), "percentile")
    int8.calibrate_(prepared, crops)
    whole = run(prepared, photo_tensor)
    for known in known_of(prepared):
        known.simulates = True
    simulated = run(prepared, photo_tensor)
    assert not torch.equal(simulated, whole)
    for known in known_of(prepared):
        known.simulates = False
    torch.testing.assert_close(run(int8.convert(prepared), photo_tensor), simulated, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("calibration", "scale"),
    [("minmax", 8.0 / 255), ("percentile", 1.0 / 255), ("histogram", 8.0 / 255)],
)
def test_a_percentile_cuts_off_what_is_rare(calibration: str, scale: float) -> None:
    picture = torch.linspace(0, 1, 256 * 256).reshape(1, 1, 256, 256).repeat(1, 3, 1, 1)
    picture[0, 0, 0, 0] = 8
    prepared = int8.prepare(nn.Conv2d(3, 3, 1), int8.Plan(), calibration)
    int8.calibrate_(prepared, [picture])
    (activation,) = [known for known in known_of(prepared) if not known.of_weights]
    # A histogram weighs cutting off against rounding: one value in 196608 may go either way, but not beyond the range.
    assert 1.0 / 255 * 0.99 < activation.scale.item() <= scale * 1.03


def test_mixed_precision_keeps_the_harmful_layer_in_float(
    tmp_path: Path, importable: Callable[[str, str], str]
) -> None:
    Artifact.new(f"{importable('users_two', TWO_LAYERS)}:Two", {}, seed=0).save(tmp_path / "two")
    pictures = [torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    given = Material(pictures, pictures)
    all_in = quantized(tmp_path / "two", given, tmp_path / "all", scheme="int8")
    assert set(all_in.quantized) == {"fine", "harmful"}
    mixed = quantized(tmp_path / "two", given, tmp_path / "mixed", scheme="int8-mixed", max_loss_db=70.0)
    assert mixed.quantized == ["fine"]
    assert mixed.in_float == {"harmful": "kept in float to lose at most 70 dB"}
    assert mixed.layers["loss_of_all_db"] > 70 > mixed.layers["loss_db"] > 0
    assert [row["layer"] for row in mixed.layers["damage"]] == ["harmful", "fine"]
    again = run(open_artifact(tmp_path / "mixed"), pictures[0])
    assert psnr_db(again, pictures[0]) > psnr_db(run(open_artifact(tmp_path / "all"), pictures[0]), pictures[0]) + 3


def test_aware_training_changes_the_weights_and_their_scales(
    float_folder: Path, crops: list[Tensor], tmp_path: Path, photo_tensor: Tensor
) -> None:
    before: dict[str, Tensor] = {}
    simulated: list[Tensor] = []

    def fit(network: nn.Module) -> None:
        network.train()
        before.update({name: t.detach().clone() for name, t in network.state_dict().items()})
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-2)
        for _ in range(3):
            loss = (network(torch.cat(crops)) - torch.cat(crops)).abs().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        simulated.append(run(network, photo_tensor))

    quantized(float_folder, Material(crops, crops, fit), tmp_path / "aware", scheme="int8-qat")
    converted = open_artifact(tmp_path / "aware")
    torch.testing.assert_close(run(converted, photo_tensor), simulated[0], atol=1e-6, rtol=0)
    quantized(float_folder, Material(crops, crops), tmp_path / "plain", scheme="int8")
    assert not torch.equal(run(open_artifact(tmp_path / "plain"), photo_tensor), simulated[0])


class Twice(nn.Module):
    """One convolution, used two times."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.convolution(torch.relu(self.convolution(image)))


def test_a_layer_that_is_used_twice_is_quantized_or_refused(crops: list[Tensor]) -> None:
    with pytest.raises(UserError, match=r"torchao's quantizer can tell apart; it says: .* Quantize with sums: int8"):
        int8.prepare(Twice(), int8.Plan())
    prepared = int8.prepare(Twice().eval(), int8.Plan(sums="int8"))
    int8.calibrate_(prepared, crops)
    assert len(int8.census(int8.convert(prepared))[0]) == 2


def test_the_range_of_fp16_is_checked(crops: list[Tensor]) -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    with torch.no_grad():
        network[1].weight.fill_(3e4)
        network[1].bias.zero_()
        network[0].weight.fill_(1)
        network[0].bias.zero_()
    with pytest.raises(UserError) as error:
        check_range(network, crops)
    assert str(error.value).startswith("FP16 must hold all activations up to 65504; 1 reached ")
    assert str(error.value).endswith("Take scheme bf16.")
    with torch.no_grad():
        network[1].weight.fill_(torch.nan)
    with pytest.raises(UserError, match="must give finite numbers; 1 does not"):
        check_range(network, crops)
    with torch.no_grad():
        network[1].weight.fill_(1)
    largest = 9 * max(float(crop.mean(1).max()) for crop in crops)
    assert check_range(network, crops) == f"largest activation {largest:.3g}, in 1; FP16 holds 65504"


def test_an_artifact_of_another_version_is_refused(int8_folder: Path, float_folder: Path) -> None:
    prepared = int8.restored(load(float_folder).network, int8.Plan(), state_of(int8_folder))
    assert all(isinstance(known, Known) for known in known_of(prepared))
    state = {name.replace("up", "old_up"): tensor for name, tensor in state_of(int8_folder).items()}
    with pytest.raises(UserError, match=r"must be one that this version of lightsharp quantized; .*Quantize the net"):
        int8.restored(load(float_folder).network, int8.Plan(), state)


def state_of(folder: Path) -> dict[str, Tensor]:
    return read_state(folder, read_manifest(folder))


def test_fp16_halves_the_file_and_hardly_changes_the_output(
    float_folder: Path, fp16_folder: Path, photo_tensor: Tensor
) -> None:
    sizes = [(folder / "weights.safetensors").stat().st_size for folder in (fp16_folder, float_folder)]
    assert sizes[0] / sizes[1] == pytest.approx(0.5, abs=0.04)
    opened = open_artifact(fp16_folder)
    half = run(opened, photo_tensor)
    assert half.dtype == torch.float32
    whole = run(Finest(load(float_folder).network), photo_tensor)
    assert 0 < (half - whole).abs().max() < 4e-3
    params = deployed_params(load(float_folder).network)
    assert weight_bytes(opened, params) == 2 * params


def test_an_artifact_knows_its_precision(float_folder: Path, fp16_folder: Path, int8_folder: Path) -> None:
    assert [dtype_of(f) for f in (float_folder, fp16_folder, int8_folder)] == ["fp32", "fp16", "int8"]
    assert read_manifest(int8_folder).quantization["scheme"] == "int8"
    with pytest.raises(UserError, match=r"it is quantized \(int8\)\. Train, prune and distil before quantizing\."):
        load(int8_folder)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_touching_no_layer_is_an_error(
    scheme: str, crops: list[Tensor], tmp_path: Path, importable: Callable[[str, str], str]
) -> None:
    artifact = Artifact.new(f"{importable('users_negative', MODULE)}:Negative", {}, seed=0)
    with pytest.raises(UserError) as error:
        quantize(artifact, Material(crops, crops, lambda _: None), QuantizeSettings(scheme=scheme), tmp_path / "out")
    assert str(error.value) == (
        f"scheme '{scheme}' must quantize at least one layer of the network; it quantized none."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("colour", "said"),
    [
        ((0.5, 0.5, 0.5), "calibration crops must show something; each is of one colour"),
        ((0.8, 0.5, 0.2), "each is of one colour"),
        ((0.5, 0.5, float("nan")), "some hold NaN"),
    ],
)
def test_calibration_that_says_nothing_is_refused(
    float_folder: Path, tmp_path: Path, colour: tuple[float, ...], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        flat = [share * torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 64, 64) for share in (1.0, 0.5)]
        quantized(float_folder, Material(flat, flat), tmp_path / "out", scheme="int8")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("scheme", ["fp16", "bf16"])
def test_a_network_that_gives_no_numbers_is_refused(
    float_folder: Path, crops: list[Tensor], tmp_path: Path, scheme: str
) -> None:
    artifact = load(float_folder)
    next(artifact.network.parameters()).data.fill_(torch.nan)
    with pytest.raises(UserError, match=r"must give finite numbers; .* does not"):
        quantize(artifact, Material(crops, crops), QuantizeSettings(scheme=scheme), tmp_path / "out")


@pytest.mark.parametrize(("sums", "in_float"), [("float", set()), ("int8", {"1"})])
def test_a_linear_layer_is_reported(crops: list[Tensor], sums: str, in_float: set[str]) -> None:
    class Linear(nn.Sequential):
        def forward(self, blurred: Tensor) -> Tensor:
            by_pixel = self[0](blurred).permute(0, 2, 3, 1)
            restored: Tensor = self[2](self[1](by_pixel).permute(0, 3, 1, 2))
            return restored

    network = Linear(nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 8), nn.Conv2d(8, 3, 3, padding=1))
    prepared = int8.prepare(network, int8.Plan(sums=sums))
    int8.calibrate_(prepared, crops)
    quantized, left = int8.census(int8.convert(prepared))
    assert set(quantized) == {"0", "1", "2"} - in_float
    assert left == dict.fromkeys(in_float, "the quantizer found no integer pattern for this linear")


def test_crops_that_the_network_cannot_take_are_refused(crops: list[Tensor], tmp_path: Path) -> None:
    artifact = Artifact.new("mimo-unet", {"width": 8, "num_blocks": 1}, seed=0)
    odd = [crop[..., :62, :62] for crop in crops]
    with pytest.raises(UserError, match=r"crops must be multiples of 4 for this network; got 62\."):
        quantize(artifact, Material(odd, odd), QuantizeSettings(scheme="int8"), tmp_path / "out")


def test_one_bad_crop_among_good_ones_is_refused(float_folder: Path, crops: list[Tensor], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must hold finite numbers"):
        pictures = [*crops, torch.full((1, 3, 64, 64), torch.inf)]
        quantized(float_folder, Material(pictures, pictures), tmp_path / "out", scheme="int8")


def test_an_unknown_scheme_is_answered_with_the_nearest() -> None:
    known = "bf16, fp16, int8, int8-mixed, int8-qat"
    with pytest.raises(UserError, match=rf"^no quantization scheme 'int4'\. Did you mean 'int8'\? Known: {known}\.$"):
        QuantizeSettings(scheme="int4")
    with pytest.raises(UserError, match=r"^no calibration 'entropy'\. Known: histogram, minmax, percentile\.$"):
        QuantizeSettings(scheme="int8", calibration="entropy")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"scheme": "fp16", "sums": "int8"}, "sums must go with an int8 scheme; scheme is fp16"),
        ({"scheme": "int8", "max_loss_db": 0.1}, "max_loss_db must go with scheme int8-mixed; scheme is int8"),
        ({"scheme": "int8", "train": {"steps": 5}}, "train goes with a scheme that trains, such as int8-qat"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        QuantizeSettings(**settings)
