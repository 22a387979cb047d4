import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from baseline.artifact import load
from baseline.errors import UserError
from baseline.restorer import Finest
from compress import int8, xnnpack_graph
from compress.graph import deployed_graph
from compress.half import HalfPrecision, HalfWeights
from compress.quantize import open_artifact
from compress.runtimes import executorch
from compress.signed import DEQUANTIZE, QUANTIZE, make_signed_

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("executorch") is None, reason="type: pip install 'lightsharp[executorch]'"
)
SIZE = (48, 64)

Built = tuple[Path, dict[str, str]]


def built(artifact: Path, folder: Path) -> Built:
    path = folder / "network.pte"
    return path, executorch.export(open_artifact(artifact), path, SIZE)


@pytest.fixture(scope="module")
def float_pte(tmp_path_factory: pytest.TempPathFactory, float_folder: Path) -> Built:
    return built(float_folder, tmp_path_factory.mktemp("float"))


@pytest.fixture(scope="module")
def int8_pte(tmp_path_factory: pytest.TempPathFactory, int8_folder: Path) -> Built:
    return built(int8_folder, tmp_path_factory.mktemp("int8"))


@pytest.fixture(scope="module")
def pictures(photo_tensor: Tensor) -> Tensor:
    """Two real pictures, 2,3,48,64."""
    return torch.cat([photo_tensor[..., :48, :64], photo_tensor[..., 100:148, 150:214]])


@torch.no_grad()
def run(network: nn.Module, several: Tensor) -> Tensor:
    return torch.cat([network(one) for one in several.split(1)])


def test_a_float_file_is_the_network_at_its_size(float_pte: Built, float_folder: Path, pictures: Tensor) -> None:
    path, note = float_pte
    opened = executorch.open_file(path)
    assert (opened.size_multiple, opened.fixed_size, opened.max_batch) == (4, SIZE, 1)
    expected = run(Finest(load(float_folder).network), pictures)
    torch.testing.assert_close(opened(pictures), expected, atol=1e-5, rtol=0)
    assert note["operators_outside_xnnpack"] == note["integer_convolutions"] == "0"
    assert [p.name for p in path.parent.iterdir()] == ["network.pte"]
    with pytest.raises(UserError) as error:
        opened(pictures[..., :32])
    assert str(error.value) == "pictures must be 48x64 for this .pte file; got 48x32. Export one for that size."


def test_an_int8_file_computes_in_integers_and_is_the_converted_network(
    int8_pte: Built, int8_folder: Path, pictures: Tensor
) -> None:
    path, note = int8_pte
    converted = open_artifact(int8_folder)
    assert isinstance(converted, GraphModule)
    quantized, in_float = int8.census(converted)
    assert quantized
    assert (note["integer_convolutions"], note["float_convolutions"]) == (str(len(quantized)), str(len(in_float)))
    assert note["operators_outside_xnnpack"] == "0"
    difference = (executorch.open_file(path)(pictures) - run(converted, pictures)).abs()
    assert difference.mean() < 2e-3
    assert difference.max() < 0.02


def test_threads_are_those_of_torch_when_it_runs(float_pte: Built, pictures: Tensor) -> None:
    from executorch.extension.pybindings import portable_lib

    # Each keeps the pool of threads that it was opened with, and crashes the process once that is gone.
    both = [executorch.open_file(float_pte[0]) for _ in range(2)]
    expected = both[0](pictures)
    try:
        for threads in (2, 1, 2, 1):
            torch.set_num_threads(threads)
            for opened in both:
                assert torch.equal(opened(pictures), expected)
                assert portable_lib._threadpool_get_thread_count() == threads
    finally:
        torch.set_num_threads(1)


def test_signed_activations_are_the_same_numbers(int8_folder: Path, pictures: Tensor) -> None:
    converted = open_artifact(int8_folder)
    assert isinstance(converted, GraphModule)
    expected = run(converted, pictures)
    assert "torch.uint8" in converted.code
    assert make_signed_(converted) > 0
    assert "torch.uint8" not in converted.code
    assert torch.equal(run(converted, pictures), expected)


class Scales(nn.Module):
    """Factors of channels, which are rounded in advance where products are computed in integers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        self.factors = nn.Parameter(torch.linspace(-1, 2, 4).view(1, 4, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.first(image) * self.factors)


def test_signed_constants_are_the_same_numbers(crops: list[Tensor]) -> None:
    prepared = int8.prepare(Scales().eval(), int8.Plan(sums="int8"))
    int8.calibrate_(prepared, crops)
    converted = int8.convert(prepared)
    expected = run(converted, crops[0])
    constants = [t for t in converted.state_dict().values() if t.dtype == torch.uint8]
    assert [t.shape for t in constants] == [(1, 4, 1, 1)]
    make_signed_(converted)
    assert torch.equal(run(converted, crops[0]), expected)


class Resizes(nn.Module):
    size_multiple = 4

    def forward(self, blurred: Tensor) -> Tensor:
        small = nn.functional.interpolate(blurred, scale_factor=0.25)
        large = nn.functional.interpolate(small, scale_factor=4)
        many = torch.cat([blurred, large, 1 - blurred, blurred * large], 1)
        return nn.functional.interpolate(nn.functional.pixel_shuffle(many, 2), scale_factor=0.5)


def test_resizes_as_convolutions_are_exact(pictures: Tensor) -> None:
    prepared = xnnpack_graph.prepare(deployed_graph(Resizes(), pictures[:1]), pictures.split(1))
    assert (prepared.integer, prepared.float, prepared.left_out) == (0, 4, [])
    graph = prepared.graph
    called = {str(node.target) for node in graph.graph.nodes if node.op == "call_function"}
    assert not [name for name in called if "upsample" in name or "shuffle" in name]
    assert torch.equal(run(graph, pictures), run(Resizes(), pictures))


class RoundedResizes(nn.Module):
    """What is resized, shuffled and joined is rounded after it, and one resize is used in float, too."""

    size_multiple = 4

    def forward(self, blurred: Tensor) -> Tensor:
        small = nn.functional.interpolate(blurred, scale_factor=0.5)
        large = nn.functional.interpolate(small, scale_factor=2)
        shuffled = nn.functional.pixel_shuffle(torch.cat([small, 1 - small, small, small], 1), 2)
        grid = (0.01, 3, 0, 255, torch.uint8)
        return DEQUANTIZE(QUANTIZE(torch.cat([large, shuffled], 1), *grid), *grid)[:, :3] + large


def test_resizes_of_what_is_rounded_are_integer_and_exact(pictures: Tensor) -> None:
    prepared = xnnpack_graph.prepare(deployed_graph(RoundedResizes(), pictures[:1]), pictures.split(1))
    assert (prepared.integer, prepared.float, prepared.left_out) == (4, 2, [])
    graph = prepared.graph
    assert torch.equal(run(graph, pictures), run(RoundedResizes(), pictures))
    program = torch.export.export(graph, (pictures[:1],))
    small_weights = [b for b in program.buffers() if b.dtype is torch.int8]
    assert len(small_weights) == prepared.integer


def truncated(path: Path, target: Path) -> None:
    target.write_bytes(path.read_bytes()[:-5000])


def other_text(path: Path, target: Path) -> None:
    target.write_text("hello")


def without_a_note(path: Path, target: Path) -> None:
    program = path.read_bytes()[: -len(executorch._checksum(b""))].replace(b"lightsharp", b"otherworks")
    target.write_bytes(program + executorch._checksum(program))


def a_changed_weight(path: Path, target: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(content)


@pytest.mark.parametrize("damage", [truncated, other_text, without_a_note, a_changed_weight])
def test_a_damaged_or_foreign_file_is_refused(
    float_pte: Built, tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    path = tmp_path / "bad.pte"
    damage(float_pte[0], path)
    with pytest.raises(UserError) as error:
        executorch.open_file(path)
    assert str(error.value) == (
        f"{path} must be a .pte that lightsharp wrote; it is damaged or foreign. Make it with lightsharp export."
    )


def test_a_half_precision_network_is_refused(tiny: Callable[..., nn.Module], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must hold FP32 or INT8 networks; got float16\. XNNPACK keeps "):
        executorch.export(HalfPrecision(tiny().half()), tmp_path / "x.pte", SIZE)
    with pytest.raises(UserError, match=r"got bfloat16\. XNNPACK keeps weights in what it computes in"):
        executorch.export(HalfWeights(tiny(), torch.bfloat16), tmp_path / "x.pte", SIZE)
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named(
    float_pte: Built, float_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert executorch.unavailable("cpu") is None
    assert "use runtime tensorrt or inductor on CUDA" in str(executorch.unavailable("cuda"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    reason = "executorch is not installed; type: pip install 'lightsharp[executorch]'"
    assert executorch.unavailable("cpu") == reason
    with pytest.raises(UserError) as error:
        executorch.export(open_artifact(float_folder), tmp_path / "x.pte", SIZE)
    assert str(error.value) == f"exporting to .pte must have ExecuTorch; {reason}."
    with pytest.raises(UserError) as error:
        executorch.open_file(float_pte[0])
    assert str(error.value) == f"opening {float_pte[0]} must have ExecuTorch; {reason}."
    assert list(tmp_path.iterdir()) == []
