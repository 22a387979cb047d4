"""Original checkpoints, built and computed here from the published structure, without our networks or our table."""

import collections
import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baseline.artifact import Artifact
from baseline.atomic import DiskFullError
from baseline.errors import UserError
from baseline.networks.zoo import build
from baseline.original_weights import export_original, import_original
from compress.prune import prune_
from compress.pruning_settings import PruneSettings

State = dict[str, Tensor]
SMALL = {"width": 8, "num_blocks": 2}


def original_shapes(width: int, num_blocks: int) -> dict[str, list[int]]:
    """Names and weight shapes of every layer as the authors saved them; transposed convolutions have inputs first."""
    full, half, quarter = width, 2 * width, 4 * width
    shapes = {
        "feat_extract.0": [full, 3, 3, 3],
        "feat_extract.1": [half, full, 3, 3],
        "feat_extract.2": [quarter, half, 3, 3],
        "feat_extract.3": [quarter, half, 4, 4],
        "feat_extract.4": [half, full, 4, 4],
        "feat_extract.5": [3, full, 3, 3],
        "Convs.0": [half, quarter, 1, 1],
        "Convs.1": [full, half, 1, 1],
        "ConvsOut.0": [3, quarter, 3, 3],
        "ConvsOut.1": [3, half, 3, 3],
        "FAM1.merge": [quarter, quarter, 3, 3],
        "FAM2.merge": [half, half, 3, 3],
    }
    for i, c in enumerate((full, half)):
        shapes |= {f"AFFs.{i}.conv.0": [c, 7 * width, 1, 1], f"AFFs.{i}.conv.1": [c, c, 3, 3]}
    for scm, c in (("SCM1", quarter), ("SCM2", half)):
        shapes |= {
            f"{scm}.main.0": [c // 4, 3, 3, 3],
            f"{scm}.main.1": [c // 2, c // 4, 1, 1],
            f"{scm}.main.2": [c // 2, c // 2, 3, 3],
            f"{scm}.main.3": [c - 3, c // 2, 1, 1],
            f"{scm}.conv": [c, c, 1, 1],
        }
    for stage, widths in (("Encoder", (full, half, quarter)), ("Decoder", (quarter, half, full))):
        for i, c in enumerate(widths):
            for j in range(num_blocks):
                shapes |= {f"{stage}.{i}.layers.{j}.main.{k}": [c, c, 3, 3] for k in (0, 1)}
    return shapes


def original_state(width: int = 8, num_blocks: int = 2) -> State:
    random = torch.Generator().manual_seed(0)
    state: State = collections.OrderedDict()
    for name, shape in original_shapes(width, num_blocks).items():
        transposed = name in ("feat_extract.3", "feat_extract.4")
        bound = (shape[1] * shape[2] * shape[3]) ** -0.5
        state[f"{name}.main.0.weight"] = bound * (2 * torch.rand(shape, generator=random) - 1)
        state[f"{name}.main.0.bias"] = bound * (2 * torch.rand(shape[int(transposed)], generator=random) - 1)
    return state


def saved(content: object, path: Path, **how: Any) -> Path:
    torch.save(content, path, **how)
    return path


@torch.no_grad()
def original_outputs(s: State, image: Tensor) -> list[Tensor]:
    """MIMO-UNet of two blocks a stage, line by line on the authors' names."""

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = s[f"{name}.main.0.weight"]
        return F.conv2d(x, weight, s[f"{name}.main.0.bias"], stride, padding=weight.shape[-1] // 2)

    def up(name: str, x: Tensor) -> Tensor:
        return F.relu(F.conv_transpose2d(x, s[f"{name}.main.0.weight"], s[f"{name}.main.0.bias"], 2, padding=1))

    def stage(name: str, x: Tensor) -> Tensor:
        for i in range(2):
            x = x + conv(f"{name}.layers.{i}.main.1", F.relu(conv(f"{name}.layers.{i}.main.0", x)))
        return x

    def join(number: int, encoded: Tensor, small: Tensor) -> Tensor:
        x = small
        for i in range(4):
            x = F.relu(conv(f"SCM{number}.main.{i}", x))
        x = conv(f"SCM{number}.conv", torch.cat([small, x], 1))
        return encoded + conv(f"FAM{number}.merge", encoded * x)

    def fused(number: int, *scales: Tensor) -> Tensor:
        return conv(f"AFFs.{number}.conv.1", F.relu(conv(f"AFFs.{number}.conv.0", torch.cat(scales, 1))))

    def twice(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, -1).repeat_interleave(2, -2)

    half_image, quarter_image = image[..., ::2, ::2], image[..., ::4, ::4]
    full = stage("Encoder.0", F.relu(conv("feat_extract.0", image)))
    half = stage("Encoder.1", join(2, F.relu(conv("feat_extract.1", full, 2)), half_image))
    quarter = stage("Encoder.2", join(1, F.relu(conv("feat_extract.2", half, 2)), quarter_image))
    at_half = fused(1, full[..., ::2, ::2], half, twice(quarter))
    at_full = fused(0, full, twice(half), twice(twice(quarter)))
    quarter = stage("Decoder.0", quarter)
    half = F.relu(conv("Convs.0", torch.cat([up("feat_extract.3", quarter), at_half], 1)))
    half = stage("Decoder.1", half)
    full = F.relu(conv("Convs.1", torch.cat([up("feat_extract.4", half), at_full], 1)))
    full = stage("Decoder.2", full)
    return [
        conv("ConvsOut.0", quarter) + quarter_image,
        conv("ConvsOut.1", half) + half_image,
        conv("feat_extract.5", full) + image,
    ]


@pytest.mark.parametrize(("num_blocks", "published"), [(8, 6_807_171), (20, 16_107_651)])
def test_the_original_built_here_has_the_published_parameters(num_blocks: int, published: int) -> None:
    transposed = {"feat_extract.3": 1, "feat_extract.4": 1}
    shapes = original_shapes(32, num_blocks)
    assert sum(np.prod(shape) + shape[transposed.get(name, 0)] for name, shape in shapes.items()) == published


@pytest.mark.parametrize("architecture", ["mimo-unet", "mimo-unet-plus"])
def test_an_imported_network_computes_what_the_original_does(architecture: str, tmp_path: Path) -> None:
    state = original_state()
    network = import_original(saved({"model": state}, tmp_path / "m.pkl"), architecture, SMALL)
    assert not network.training
    image = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    for output, expected in zip(network(image), original_outputs(state, image), strict=True):
        torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)


def test_weights_that_were_imported_are_written_back_bit_by_bit(tmp_path: Path) -> None:
    state = original_state()
    network = import_original(saved({"model": state}, tmp_path / "in.pkl"), "mimo-unet", SMALL)
    export_original(Artifact(network, "mimo-unet", SMALL), tmp_path / "out.pkl")
    written = torch.load(tmp_path / "out.pkl", weights_only=True)
    assert set(written) == {"model"}
    assert set(written["model"]) == set(state)
    assert all(torch.equal(written["model"][name], tensor) for name, tensor in state.items())


def test_a_checkpoint_that_could_not_be_written_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(content: object, file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(DiskFullError, match="must have room on its disk"):
        export_original(Artifact(build("mimo-unet", SMALL), "mimo-unet", SMALL), tmp_path / "out.pkl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["zip", "before torch 1.6", "DataParallel"])
def test_every_form_of_the_file_is_read(how: str, tmp_path: Path) -> None:
    state = original_state()
    named = {f"module.{name}": t for name, t in state.items()} if how == "DataParallel" else state
    path = saved({"model": named}, tmp_path / "m.pkl", _use_new_zipfile_serialization=how != "before torch 1.6")
    network = import_original(path, "mimo-unet", SMALL)
    assert torch.equal(network.head.weight, state["feat_extract.0.main.0.weight"])


class Ours:
    """What is not a tensor, as a pickle could hold it."""


def pickled(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


FORM = "{path} must be {{'model': state_dict}} as torch.save writes it, tensors and nothing else; "


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickled({"model": {"a": Ours()}}), "it holds a test_original_weights.Ours, which could run code. "),
        (pickled({"model": {}})[:200], "it is damaged or another kind of file. "),
        (b"", "it is damaged or another kind of file. "),
        (b"no checkpoint", "it is damaged or another kind of file. "),
        (pickled([1]), "it holds a list without such a 'model'. "),
        (pickled({"state_dict": {}}), "it holds a dict without such a 'model'. "),
        (pickled({"model": torch.ones(2)}), "it holds a dict without such a 'model'. "),
        (pickled({"model": {}, "optimizer": {}, "epoch": 3}), "it also holds 'epoch', 'optimizer'. "),
        (pickled({"model": {"a": torch.ones(1), "b": 3.0}}), "its 'b' is a float. "),
        (pickled({"model": {7: torch.ones(1)}}), "its 7 is a Tensor. "),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        import_original(path, "mimo-unet", SMALL)
    assert str(error.value) == FORM.format(path=path) + said + "Check that it is an original checkpoint."


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"m\.pkl must be the file of a checkpoint; there is none\.$"):
        import_original(tmp_path / "m.pkl", "mimo-unet", SMALL)


def drop(state: State) -> None:
    del state["AFFs.0.conv.1.main.0.bias"]


def add(state: State) -> None:
    state["Encoder.0.layers.2.main.0.main.0.weight"] = torch.ones(8, 8, 3, 3)


def reshape(state: State) -> None:
    state["SCM1.conv.main.0.weight"] = torch.ones(32, 29, 1, 1)


def halve(state: State) -> None:
    state["Convs.0.main.0.bias"] = state["Convs.0.main.0.bias"].half()


def spoil(state: State) -> None:
    state["FAM2.merge.main.0.weight"][3, 1, 0, 2] = torch.nan


def rename(state: State) -> None:
    state["head.weight"] = state.pop("feat_extract.0.main.0.weight")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (drop, "it has no AFFs.0.conv.1.main.0.bias"),
        (add, "it has Encoder.0.layers.2.main.0.main.0.weight"),
        (reshape, "SCM1.conv.main.0.weight has shape [32, 29, 1, 1] instead of [32, 32, 1, 1]"),
        (halve, "Convs.0.main.0.bias is torch.float16 instead of torch.float32"),
        (spoil, "FAM2.merge.main.0.weight holds values that are not finite"),
        (rename, "it has no feat_extract.0.main.0.weight (and 1 more faults)"),
    ],
)
def test_weights_of_another_network_are_refused(damage: Callable[[State], None], said: str, tmp_path: Path) -> None:
    state = original_state()
    damage(state)
    path = saved({"model": state}, tmp_path / "m.pkl")
    with pytest.raises(UserError) as error:
        import_original(path, "mimo-unet", SMALL)
    assert str(error.value) == (
        f"{path} must hold exactly the weights of the original mimo-unet; {said}. "
        "Check --network (mimo-unet or mimo-unet-plus) and the file."
    )


def pruned(network: torch.nn.Module) -> torch.nn.Module:
    prune_(network, PruneSettings(ratio=0.3, criterion="l2", widths="uniform", multiple=1))
    return network


@pytest.mark.parametrize(
    ("architecture", "options", "said"),
    [
        ("mimo-unet-attention", {}, "it is 'mimo-unet-attention'"),
        ("mimo-unet", {"conv": "separable"}, "its convolutions are separable"),
        ("mimo-unet", {}, "it is pruned, "),
    ],
)
def test_a_network_of_another_kind_is_not_written(
    architecture: str, options: dict[str, str], said: str, tmp_path: Path
) -> None:
    arguments = {"width": 8, "num_blocks": 1} | options
    network = build(architecture, arguments)
    artifact = Artifact(pruned(network) if "pruned" in said else network, architecture, arguments)
    with pytest.raises(UserError) as error:
        export_original(artifact, tmp_path / "m.pkl")
    must = "the original layout must be given mimo-unet or mimo-unet-plus, of plain convolutions and not pruned; "
    assert str(error.value).startswith(must + said)
    assert list(tmp_path.iterdir()) == []
