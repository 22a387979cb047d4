import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.artifact import load
from baseline.errors import UserError
from baseline.restorer import Finest
from compress.graph import deployed_graph
from compress.quantize import open_artifact
from compress.runtimes import aoti, inductor
from compress.runtimes.table import RUNTIMES, check_file_runtime, memory_runtime, open_deployable


@torch.no_grad()
def run(network: nn.Module, picture: Tensor) -> Tensor:
    return network(picture)


@pytest.mark.parametrize("size", [(1, 64, 64), (2, 96, 128)])
def test_a_float_file_is_the_network_at_any_size(
    float_pt2: Path, float_folder: Path, photo_tensor: Tensor, size: tuple[int, int, int]
) -> None:
    picture = photo_tensor[..., : size[1], : size[2]].repeat(size[0], 1, 1, 1)
    opened = open_deployable(float_pt2)
    assert (opened.size_multiple, opened.fixed_size, opened.max_batch) == (4, None, 1)
    expected = run(Finest(load(float_folder).network), picture)
    torch.testing.assert_close(opened(picture), expected, atol=1e-5, rtol=0)


def test_a_part_of_a_picture_is_read_as_what_it_is(float_pt2: Path, photo_tensor: Tensor) -> None:
    opened = open_deployable(float_pt2)
    part = photo_tensor[..., 8:72, 16:112]
    turned = photo_tensor[..., :64, :96].transpose(-1, -2)
    for picture in (part, turned, part.to(memory_format=torch.channels_last)):
        torch.testing.assert_close(opened(picture), opened(picture.clone(memory_format=torch.contiguous_format)))


def test_an_int8_file_is_the_converted_network(int8_pt2: Path, int8_folder: Path, photo_tensor: Tensor) -> None:
    opened = open_deployable(int8_pt2)
    # A step of 8 bits may fall the other way: measured 0.0023 at most on the full network.
    difference = (opened(photo_tensor) - run(open_artifact(int8_folder), photo_tensor)).abs()
    assert difference.max() < 0.01
    assert difference.mean() < 5e-4


class ReadsViews(nn.Module):
    """Convolutions of half of the channels, of all but a border, and of what a norm over channels has permuted."""

    size_multiple = 4

    def __init__(self) -> None:
        super().__init__()
        self.head, self.of_half, self.out = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(4, 8, 1), nn.Conv2d(8, 3, 1)
        self.of_inner, self.norm, self.of_normalized = nn.Conv2d(8, 8, 1), nn.LayerNorm(8), nn.Conv2d(8, 16, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.of_half(self.head(image).sin().chunk(2, dim=1)[1])
        x = self.of_inner((x.tanh() * x)[..., 2:-2, 2:-2])
        x = F.pad(x.tanh() * x, (2, 2, 2, 2))
        first, second = self.of_normalized(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)).chunk(2, dim=1)
        return self.out(first * second)


class ReadsTokens(nn.Module):
    """A convolution of what was scaled as tokens: a view that has the strides of a contiguous image."""

    size_multiple = 4

    def __init__(self) -> None:
        super().__init__()
        self.head, self.out = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 3, 1)
        self.scale, self.of_scaled = nn.Parameter(torch.rand(8) + 0.5), nn.Conv2d(8, 8, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.head(image)
        tokens = x.flatten(2).permute(0, 2, 1) * self.scale
        return self.out(self.of_scaled(tokens.permute(0, 2, 1).reshape(x.shape)))


class ReadsTokensInGroups(nn.Module):
    """As LayerNorm and gates are written in code for tokens: the scaled view, and then a convolution in groups."""

    size_multiple = 4

    def __init__(self) -> None:
        super().__init__()
        self.head, self.out = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(24, 3, 1)
        self.scale, self.wide = nn.Parameter(torch.rand(12) + 0.5), nn.Conv2d(12, 48, 1)
        self.in_groups = nn.Conv2d(48, 48, 3, padding=1, groups=48)

    def forward(self, image: Tensor) -> Tensor:
        x = self.head(image)
        tokens = x.reshape(1, 12, -1).permute(0, 2, 1)
        tokens = (tokens - tokens.mean(-1, keepdim=True)) * self.scale
        first, second = self.in_groups(self.wide(tokens.permute(0, 2, 1).reshape(x.shape))).chunk(2, dim=1)
        return image + self.out(F.gelu(first) * second)


@pytest.mark.parametrize("reads", [ReadsViews, ReadsTokens, ReadsTokensInGroups])
def test_convolutions_of_views_read_them_in_their_order(
    reads: type[nn.Module], photo_tensor: Tensor, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = reads().eval()
    aoti.export(network, tmp_path / "network.pt2", (64, 64))
    for picture in (photo_tensor[..., :64, :64], photo_tensor[..., :96, :128]):
        opened = open_deployable(tmp_path / "network.pt2")
        torch.testing.assert_close(opened(picture), run(network, picture), atol=1e-5, rtol=0)


def test_only_views_that_convolutions_read_are_copied() -> None:
    network = ReadsViews().eval()
    graph = deployed_graph(network, torch.zeros(1, 3, 32, 32))
    assert aoti.copy_views_(graph) == 3
    copies = [node for node in graph.graph.nodes if node.target is torch.ops.aten.clone.default]
    once = 3 * [torch.ops.aten.clone.default, torch.ops.aten.conv2d.default]
    assert [user.target for node in copies for user in node.users] == once
    image = torch.rand(1, 3, 20, 24)
    torch.testing.assert_close(run(graph, image), run(network, image), atol=1e-6, rtol=0)


def test_a_file_is_stripped_and_says_what_it_was_built_for(float_pt2: Path) -> None:
    with zipfile.ZipFile(float_pt2) as archive:
        names = archive.namelist()
        libraries = [archive.read(name) for name in names if name.endswith(".so")]
    assert not [name for name in names if name.endswith(".cpp")]
    assert libraries
    assert all(b".debug_info" not in library and b".symtab" not in library for library in libraries)
    note = aoti.read_note(float_pt2)
    assert note["torch"] == torch.__version__
    assert note["size_multiple"] == "4"
    assert {"machine", "instruction_set"} < set(note)
    assert [p.name for p in float_pt2.parent.iterdir()] == ["float.pt2"]


def test_the_compiled_convolutions_are_counted(float_pt2: Path, int8_pt2: Path, float_folder: Path) -> None:
    convolutions = [
        name
        for name, layer in load(float_folder).network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and name not in ("out.0", "out.1")
    ]
    keys = ("integer_convolutions", "float_convolutions")
    assert [read_whole_note(float_pt2)[key] for key in keys] == ["0", str(len(convolutions))]
    assert [read_whole_note(int8_pt2)[key] for key in keys] == [str(len(convolutions)), "0"]


def read_whole_note(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(next(n for n in archive.namelist() if n.endswith("lightsharp.json"))))


def with_note(path: Path, target: Path, **values: str) -> Path:
    """A copy of a file that states something else."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as changed:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("lightsharp.json"):
                content = json.dumps(json.loads(content) | values).encode()
            changed.writestr(name, content)
    return target


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ({"torch": "2.5.1"}, f"must be built for torch {torch.__version__}; it is for 2.5.1. Rebuild it: lightsharp"),
        ({"machine": "riscv64"}, "and riscv64 is missing here. Rebuild it on this machine: lightsharp export"),
        ({"instruction_set": "AVX2 AMX_TILE"}, "AVX2 AMX_TILE, and AMX_TILE is missing here. Rebuild it"),
        ({"instruction_set": "AVX10_9"}, "AVX10_9, and AVX10_9 is missing here. Rebuild it"),
    ],
)
def test_a_file_for_another_machine_is_refused(
    float_pt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: dict[str, str], said: str
) -> None:
    there = note.get("instruction_set") is None
    monkeypatch.setitem(aoti._INSTRUCTION_SETS, "AVX2", lambda: True)
    monkeypatch.setitem(aoti._INSTRUCTION_SETS, "AMX_TILE", lambda: there)
    path = with_note(float_pt2, tmp_path / "other.pt2", **note)
    with pytest.raises(UserError) as error:
        open_deployable(path)
    assert str(error.value).startswith(str(path))
    assert said in str(error.value)


def truncated(path: Path, target: Path) -> None:
    target.write_bytes(path.read_bytes()[:-5000])


def foreign(path: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("model/data.txt", "hello")


def note_without_content(path: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("model/extra/lightsharp.json", "{}")


def no_archive(path: Path, target: Path) -> None:
    target.write_text("hello")


def note_of_another_kind(path: Path, target: Path) -> None:
    with_note(path, target, size_multiple="four")


def note_without_code(path: Path, target: Path) -> None:
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(target, "w") as archive:
        for name in whole.namelist():
            if not name.endswith(".so"):
                archive.writestr(name, whole.read(name))


def code_with_a_changed_byte(path: Path, target: Path) -> None:
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        library = next(info for info in archive.infolist() if info.filename.endswith(".so"))
    content[library.header_offset + library.file_size // 2] ^= 1
    target.write_bytes(content)


DAMAGES = (
    truncated,
    foreign,
    note_without_content,
    note_of_another_kind,
    note_without_code,
    code_with_a_changed_byte,
    no_archive,
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_file_is_refused(
    float_pt2: Path, tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    path = tmp_path / "bad.pt2"
    damage(float_pt2, path)
    with pytest.raises(UserError) as error:
        open_deployable(path)
    assert str(error.value) == (
        f"{path} must be a .pt2 that lightsharp wrote; it is damaged or foreign. Make it with lightsharp export."
    )


def test_a_compiler_that_is_missing_is_named(
    float_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nonexistent/g++")
    reason = "no C++ compiler (/nonexistent/g++) here; install one: apt-get install g++"
    assert aoti.unavailable("cpu") == inductor.unavailable("cpu") == reason
    with pytest.raises(UserError) as error:
        aoti.export(open_artifact(float_folder), tmp_path / "x.pt2", (64, 64))
    assert str(error.value) == f"exporting to .pt2 must have a C++ compiler; {reason}."
    assert list(tmp_path.iterdir()) == []


def test_pt2_files_are_for_cpus() -> None:
    assert aoti.unavailable("cpu") is None
    assert "use runtime inductor on CUDA" in str(aoti.unavailable("cuda"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("name", ["eager", "inductor"])
def test_a_gpu_that_is_missing_is_named(name: str) -> None:
    assert memory_runtime(name).unavailable("cuda") == "no CUDA device here"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "model.tflite",
            "no kind of deployable '.tflite'. Did you mean '.pte'? Known: .engine, .onnx, .pt2, .pte, .xml.",
        ),
        ("gone.pt2", "gone.pt2 must be a deployable's file; there is none. Make it with lightsharp export."),
    ],
)
def test_a_file_that_no_runtime_opens_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "model.tflite").write_bytes(b"x")
    with pytest.raises(UserError) as error:
        open_deployable(tmp_path / name)
    assert str(error.value).endswith(said)


def test_runtimes_without_files_are_refused_for_export() -> None:
    with pytest.raises(UserError, match="runtime 'eager' must be one that has files; it has none"):
        check_file_runtime("eager")
    assert {name for name in RUNTIMES if RUNTIMES[name].suffix is None} == {"eager", "inductor"}


def test_eager_is_the_network(tiny: Callable[..., nn.Module]) -> None:
    picture = torch.rand(2, 3, 32, 32)
    expected = run(Finest(tiny()), picture)
    restored = memory_runtime("eager").wrap(Finest(tiny()), "cpu")(picture)
    torch.testing.assert_close(restored, expected, atol=1e-6, rtol=0)
