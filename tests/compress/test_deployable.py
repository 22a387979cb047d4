from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baseline.errors import UserError
from baseline.networks.zoo import build
from baseline.restorer import NetworkRestorer, Restorer, restore_any_size
from compress import deployable
from compress.quantize import open_artifact
from compress.runtimes import onnxruntime
from compress.runtimes.table import RUNTIMES, open_deployable


def test_a_file_is_opened_in_a_fresh_process_and_compared(float_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    found = deployable.export_checked(open_artifact(float_folder), "onnxruntime", "fp32", path, (64, 72))
    assert [one.size for one in found.agreement] == [(64, 72), (32, 48), (101, 157)]
    assert all(one.largest_difference < 1e-5 and one.psnr_db > 110 for one in found.agreement)
    assert found.megabytes == path.stat().st_size / 1e6
    assert found.built_for["float_convolutions"] != "0"


def test_a_quantized_file_is_compared_with_the_float_network_too(
    float_folder: Path, int8_folder: Path, tmp_path: Path
) -> None:
    float_network, network = open_artifact(float_folder), open_artifact(int8_folder)

    def exported(*given: nn.Module) -> deployable.Deployed:
        return deployable.export_checked(network, "onnxruntime", "int8", tmp_path / "n.onnx", (64, 64), *given)

    assert exported().float_agreement is None
    found = exported(float_network).float_agreement
    assert found is not None
    assert [one.size for one in found] == [(64, 64), (32, 48), (101, 157)]
    picture = deployable._real_pictures((64, 64), 4, 4)[0]
    error = (open_deployable(tmp_path / "n.onnx")(picture) - float_network(picture)).square().mean()
    assert found[0].psnr_db == pytest.approx(float(-10 * error.log10()), abs=0.05)
    assert deployable.export_checked(float_network, "onnxruntime", "fp32", tmp_path / "f.onnx", (64, 64)).as_json()[
        "float_agreement"
    ]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_gates_and_norms_over_channels_become_files(runtime: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build("nafnet", {"width": 4, "num_blocks": 1}).eval()
    for name, parameter in network.named_parameters():
        if name.endswith(("beta", "gamma")):  # where they are zero, blocks do nothing
            nn.init.normal_(parameter)
    path = tmp_path / f"network{RUNTIMES[runtime].suffix}"
    found = deployable.export_checked(network, runtime, "fp32", path, (64, 72))
    assert all(one.psnr_db > 110 for one in found.agreement)
    # ONNX Runtime makes another convolution of each scale that it cannot take into the one before it.
    assert found.built_for["float_convolutions"] == str(5 * 6 + 6)


@pytest.mark.parametrize(
    ("dtype", "wrong_by", "said"),
    [
        (
            "fp32",
            2e-4,
            r"must give what its artifact gives, to 0\.0001; on a real picture of 64x64 it is off by 0\.0002",
        ),
        ("fp16", 2e-3, r"must agree with its artifact to 55 dB; on a real picture of 64x64 it agrees to 54\.0 dB"),
        ("int8", 2e-2, r"must agree with its artifact to 40 dB; on a real picture of 64x64 it agrees to 34\.0 dB"),
        ("int8", 0.0, r"must compute convolutions in integers; onnxruntime computes all of them in float"),
    ],
)
def test_a_file_that_is_not_its_artifact_is_not_left_behind(
    float_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, wrong_by: float, said: str
) -> None:
    network = open_artifact(float_folder)

    def export(network: nn.Module, path: Path, size: tuple[int, int]) -> dict[str, str]:
        path.write_text("x")
        return {"integer_convolutions": "7" if wrong_by else "0"}

    def wrong(path: Path, pictures: list[Tensor]) -> tuple[list[Tensor], None]:
        with torch.no_grad():
            return [network(picture) + wrong_by for picture in pictures[:2]] + [pictures[2]], None

    monkeypatch.setattr(onnxruntime, "export", export)
    monkeypatch.setattr(deployable, "_in_fresh_process", wrong)
    with pytest.raises(UserError, match=said):
        deployable.export_checked(network, "onnxruntime", dtype, tmp_path / "n.onnx", (64, 64))
    assert list(tmp_path.iterdir()) == []


def test_what_a_runtime_cannot_take_is_one_line_and_the_file_that_was_there_stays(
    float_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(network: nn.Module, path: Path, size: tuple[int, int]) -> dict[str, str]:
        path.write_text("half")
        raise KeyError("no operator i0e\nlong story")

    monkeypatch.setattr(onnxruntime, "export", export)
    (tmp_path / "n.onnx").write_text("good")
    with pytest.raises(UserError) as error:
        deployable.export_checked(open_artifact(float_folder), "onnxruntime", "fp32", tmp_path / "n.onnx", (64, 64))
    assert str(error.value).startswith("onnxruntime must take every operator of the network; it says: ")
    assert "\n" not in str(error.value)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("n.onnx", "good")]


def test_a_file_that_does_not_open_says_why(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_text("hello")
    with pytest.raises(
        UserError,
        match=r"n\.onnx must open and run in a fresh process; it says: .*damaged or foreign.* Take another runtime",
    ):
        deployable.compare([nn.Identity()], tmp_path / "n.onnx", [torch.rand(1, 3, 8, 8)])


@pytest.mark.parametrize("size", [(48, 64), (49, 64), (37, 41), (130, 201), (48, 200), (5, 300)])
def test_a_file_of_fixed_size_restores_any_size_in_tiles(size: tuple[int, int]) -> None:
    seen: list[tuple[int, ...]] = []

    def blur(picture: Tensor) -> Tensor:
        seen.append(tuple(picture.shape[-2:]))
        return nn.functional.avg_pool2d(picture, 5, 1, 2)

    def restorer(fixed_size: tuple[int, int] | None) -> Restorer:
        stated = {"size_multiple": 4, "min_size": 8, "fixed_size": fixed_size, "max_batch": 1}
        return type("Blurs", (), {"__call__": lambda _, picture: blur(picture), **stated})()

    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    restored = restore_any_size(restorer((48, 64)), picture)
    assert restored.shape == picture.shape
    assert set(seen) == {(48, 64)}
    expected = restore_any_size(restorer(None), picture)
    if size[0] < 48 or size[1] < 64:
        # What is smaller than the file's size is padded further, which shows at its border and nowhere else.
        restored, expected = restored[..., :-2, :-2], expected[..., :-2, :-2]
    torch.testing.assert_close(restored, expected, atol=1e-6, rtol=0)


def test_tiles_begin_where_coarser_scales_see_the_same_pixels_together() -> None:
    class Coarse(nn.Module):
        size_multiple = 6

        def forward(self, blurred: Tensor) -> Tensor:
            return nn.functional.interpolate(nn.functional.avg_pool2d(blurred, 6), scale_factor=6)

    picture = torch.rand(1, 3, 150, 200, generator=torch.Generator().manual_seed(0))
    restorer = NetworkRestorer(Coarse())
    whole = restore_any_size(restorer, picture)
    restorer.fixed_size = (66, 66)
    torch.testing.assert_close(restore_any_size(restorer, picture), whole)


def test_a_file_of_fixed_size_says_how_its_tiles_agree_with_the_whole(
    tiny: Callable[..., nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mean(nn.Module):
        def forward(self, blurred: Tensor) -> Tensor:
            return blurred - blurred.mean((2, 3), keepdim=True)

    def export(network: nn.Module, path: Path, size: tuple[int, int]) -> dict[str, str]:
        path.write_text("x")
        return {"fixed_size": "64x64"}

    found = {}
    monkeypatch.setattr(onnxruntime, "export", export)
    for name, network in (("local", nn.Conv2d(3, 3, 3, padding=1)), ("mean", Mean())):
        outputs = lambda path, pictures, network=network: ([network(p).detach() for p in pictures], None)  # noqa: E731
        monkeypatch.setattr(deployable, "_in_fresh_process", outputs)
        found[name] = deployable.export_checked(network, "onnxruntime", "fp32", tmp_path / "n.onnx", (64, 64)).tiles
    assert found["local"] is not None
    assert found["mean"] is not None
    assert found["local"].size == found["mean"].size == (96, 96)
    assert found["local"].psnr_db > 100
    assert found["mean"].psnr_db < 50


def test_what_fits_goes_through_once(tiny: Callable[..., nn.Module]) -> None:
    calls: list[Tensor] = []
    whole = type("Whole", (), {"size_multiple": 4, "min_size": 8, "fixed_size": (48, 64), "max_batch": 1})()
    type(whole).__call__ = lambda _, picture: calls.append(picture) or picture
    assert restore_any_size(whole, torch.rand(1, 3, 40, 50)).shape == (1, 3, 40, 50)
    assert len(calls) == 1
