"""Networks with weights in half precision: what they compute in, on which machine, and what their files hold."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from baseline.artifact import Artifact, load
from baseline.errors import UserError
from compress.cost import weight_bytes
from compress.deployable import export_checked
from compress.half import HalfPrecision, half_weights_of, in_fp32
from compress.quantize import Material, QuantizeReport, open_artifact, quantize
from compress.quantizing_settings import QuantizeSettings
from compress.runtimes import aoti, onnxruntime, openvino
from compress.runtimes.table import files_of, open_deployable, size_mb

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
WIDE = {"width": 24, "num_blocks": 1}


def on_a_cpu_with(monkeypatch: pytest.MonkeyPatch, *features: str) -> None:
    monkeypatch.setattr("compress.machine._cpu_features", lambda: " ".join(("AVX2", *features)))


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory, material: Material) -> dict[str, Path]:
    """A network of 1.9 MB of weights in FP32, FP16 and BF16."""
    work = tmp_path_factory.mktemp("half")
    artifact = Artifact.new("mimo-unet", WIDE, seed=0)
    artifact.save(work / "fp32")
    for scheme in DTYPES:
        quantize(artifact, material, QuantizeSettings(scheme=scheme), work / scheme)
    return {name: work / name for name in ("fp32", *DTYPES)}


@torch.no_grad()
def computed_in(network: nn.Module, image: Tensor) -> tuple[set[torch.dtype], Tensor]:
    """The types of what convolutions are given and give, and the output."""
    found: set[torch.dtype] = set()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _, given, output: found.update({given[0].dtype, output.dtype}))
    return found, network(image)


def test_arithmetic_is_in_fp32_on_cpus_that_are_not_faster_in_half_precision(
    artifacts: dict[str, Path], dtype: str, photo_tensor: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_cpu_with(monkeypatch, "avx512_vnni")
    opened = open_artifact(artifacts[dtype])
    kinds, output = computed_in(opened, photo_tensor)
    assert kinds == {torch.float32}
    assert half_weights_of(opened) == DTYPES[dtype]
    assert all(torch.equal(p, p.to(DTYPES[dtype]).float()) for p in opened.parameters())
    whole = open_artifact(artifacts["fp32"])(photo_tensor)
    assert 0 < (output - whole).abs().max() < {"fp16": 2e-3, "bf16": 2e-2}[dtype]


@pytest.mark.parametrize(
    ("feature", "device", "kinds"),
    [
        ("avx512_fp16", "cpu", {"fp16": torch.float16}),
        ("amx_fp16", "cpu", {"fp16": torch.float16}),
        ("avx512_bf16", "cpu", {"bf16": torch.bfloat16}),
        ("amx_bf16", "cpu", {"bf16": torch.bfloat16}),
        ("amx_int8", "cpu", {}),
        ("amx_int8", "cuda", DTYPES),
    ],
)
def test_arithmetic_is_in_half_precision_where_the_device_is_faster_so(
    artifacts: dict[str, Path],
    crops: list[Tensor],
    monkeypatch: pytest.MonkeyPatch,
    feature: str,
    device: str,
    kinds: dict[str, torch.dtype],
) -> None:
    on_a_cpu_with(monkeypatch, feature)
    for name in DTYPES:
        found, output = computed_in(open_artifact(artifacts[name], device), crops[0])
        assert found == {kinds.get(name, torch.float32)}
        assert output.dtype == torch.float32


def test_weights_count_half_the_bytes_whatever_they_are_computed_in(artifacts: dict[str, Path]) -> None:
    assert weight_bytes(open_artifact(artifacts["fp32"]), 100) == 400
    assert {weight_bytes(open_artifact(artifacts["fp16"], device), 100) for device in ("cpu", "cuda")} == {200}


def test_the_report_says_what_is_computed_in_and_looks_at_half_precision_too(
    float_folder: Path, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def report(*features: str) -> QuantizeReport:
        on_a_cpu_with(monkeypatch, *features)
        return quantize(load(float_folder), material, QuantizeSettings(scheme="fp16"), tmp_path / "_".join(features))

    here, there = report("avx2"), report("avx512_fp16")
    assert "weights in FP16, arithmetic in FP32: this CPU has no FP16 arithmetic" in here.notes
    assert "weights and arithmetic in FP16" in there.notes
    assert here.notes[-1] == there.notes[-1]
    assert here.notes[-1].endswith("float16 may be by 0.016")
    assert here.agreement_db > there.agreement_db + 1


def test_a_network_that_only_half_precision_breaks_is_refused_everywhere(
    crops: list[Tensor], tmp_path: Path, importable: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
from torch import nn

class Squares(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, image):
        large = 1000 * (self.conv(image) + 1)
        return image + 0.01 * large / (1 + large * large).sqrt()
"""
    on_a_cpu_with(monkeypatch)
    artifact = Artifact.new(f"{importable('users_squares', source)}:Squares", {}, seed=0)
    with pytest.raises(UserError, match="the network in float16 must be what it is in FP32"):
        quantize(artifact, Material(crops, crops), QuantizeSettings(scheme="fp16"), tmp_path / "out")


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_files_hold_half_the_bytes_and_compute_the_same_convolutions(
    artifacts: dict[str, Path], tmp_path: Path, runtime: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_cpu_with(monkeypatch)
    suffix = {"onnxruntime": ".onnx", "openvino": ".xml"}[runtime]
    paths = {name: tmp_path / f"{name}{suffix}" for name in ("fp32", dtype)}
    found = {
        name: export_checked(open_artifact(artifacts[name]), runtime, name, path, (64, 64))
        for name, path in paths.items()
    }
    saved = 1e6 * (size_mb(paths["fp32"]) - size_mb(paths[dtype]))
    whole = sum(p.numel() for p in open_artifact(artifacts["fp32"]).network.parameters()) * 4
    assert saved == pytest.approx(whole / 2, rel=0.15)
    assert all(one.largest_difference < 1e-5 for one in found[dtype].agreement)
    assert "arithmetic in FP32" in found[dtype].built_for["precision"]
    assert "precision" not in found["fp32"].built_for
    counts = ("integer_convolutions", "float_convolutions")
    assert [found[dtype].built_for[key] for key in counts] == [found["fp32"].built_for[key] for key in counts]


def test_what_runs_has_no_casts_left(artifacts: dict[str, Path], dtype: str, tmp_path: Path) -> None:
    network = in_fp32(open_artifact(artifacts[dtype]))
    onnxruntime.export(network, tmp_path / "network.onnx", (64, 64))
    casts = [node for node in onnx.load(tmp_path / "network.onnx").graph.node if node.op_type == "Cast"]
    assert len(casts) > 20
    assert "Cast" not in onnxruntime.operators(tmp_path / "network.onnx")
    openvino.export(network, tmp_path / "network.xml", (64, 64))
    kinds = openvino.operators(tmp_path / "network.xml")
    assert "Convert" not in {kind for kind, _ in kinds}
    assert {precision for kind, precision in kinds if kind == "Convolution"} == {"f32"}


def test_an_onnx_file_of_half_precision_arithmetic_computes_in_fp32(
    tiny: Callable[..., nn.Module], crops: list[Tensor], tmp_path: Path, dtype: str
) -> None:
    network = HalfPrecision(tiny().to(DTYPES[dtype]), DTYPES[dtype])
    onnxruntime.export(network, tmp_path / "network.onnx", (64, 64))
    expected = in_fp32(network)(crops[0]).detach()
    np.testing.assert_allclose(open_deployable(tmp_path / "network.onnx")(crops[0]), expected, atol=1e-5)


def test_a_pt2_packs_the_weights_and_computes_in_fp32(
    artifacts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_cpu_with(monkeypatch)
    path = tmp_path / "network.pt2"
    found = export_checked(open_artifact(artifacts["fp16"]), "aoti", "fp16", path, (64, 64))
    assert all(one.largest_difference < 1e-5 for one in found.agreement)
    assert found.built_for["precision"].startswith("weights in FP16, arithmetic in FP32")
    weights = sum(p.numel() for p in load(artifacts["fp32"]).network.parameters())
    unpacked = sum(info.file_size for info in aoti.zipfile.ZipFile(path).infolist())
    assert unpacked > 4 * weights
    assert path.stat().st_size < 0.6 * unpacked
    assert files_of(path) == [path]
