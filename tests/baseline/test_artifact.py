import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from baseline.artifact import Artifact, load
from baseline.errors import UserError
from baseline.restorer import outputs_of
from compress.prune import prune_
from compress.pruning_settings import PruneSettings

MODULE = """
from torch import nn

class Again(nn.Module):
    # One convolution under two names, and two with one weight.

    def __init__(self):
        super().__init__()
        self.head, self.one, self.first, self.second = (nn.Conv2d(i, 4, 3, padding=1) for i in (3, 4, 4, 4))
        self.other, self.second.weight = self.one, self.first.weight
        self.tail, self.out = nn.Conv2d(4, 24, 1), nn.Conv2d(24, 3, 1)

    def forward(self, image):
        return self.out(self.tail(self.second(self.first(self.other(self.one(self.head(image))).relu()))))

def again():
    return Again()

def make(channels=8):
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.Conv2d(channels, 3, 1))
"""

KINDS: dict[str, tuple[str, dict[str, Any], list[float]]] = {
    "plain": ("mimo-unet", {"width": 8, "num_blocks": 1}, []),
    "plus": ("mimo-unet-plus", {"width": 8, "num_blocks": 1}, []),
    "separable": ("mimo-unet", {"width": 8, "num_blocks": 1, "conv": "separable"}, []),
    "pruned": ("mimo-unet", {"width": 8, "num_blocks": 1}, [0.3]),
    "pruned twice": ("mimo-unet", {"width": 8, "num_blocks": 1}, [0.3, 0.3]),
    "pruned separable": ("mimo-unet", {"width": 8, "num_blocks": 1, "conv": "separable"}, [0.4]),
    "user's": ("users_artifact:make", {"channels": 6}, []),
    "user's pruned": ("users_artifact:make", {}, [0.5]),
    "user's shared": ("users_artifact:again", {}, []),
    "user's shared, pruned": ("users_artifact:again", {}, [0.5]),
}


@pytest.fixture(autouse=True)
def users_module(importable: Callable[[str, str], str]) -> None:
    importable("users_artifact", MODULE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loaded_artifact_gives_the_same_output(kind: str, tmp_path: Path) -> None:
    architecture, arguments, ratios = KINDS[kind]
    artifact = Artifact.new(architecture, arguments, seed=1)
    unpruned = sum(p.numel() for p in artifact.network.parameters())
    folder = tmp_path / "0"
    artifact.save(folder)
    for stage, ratio in enumerate(ratios, 1):
        artifact = load(folder)
        prune_(artifact.network, PruneSettings(ratio=ratio, criterion="l2", widths="uniform", multiple=1))
        artifact.lineage.append({"stage": "prune", "ratio": ratio})
        folder = tmp_path / str(stage)
        artifact.save(folder)
    loaded = load(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]
    left = sum(p.numel() for p in loaded.network.parameters())
    assert left < unpruned * 0.9 ** len(ratios) if ratios else left == unpruned
    assert [entry["ratio"] for entry in loaded.lineage] == ratios
    assert not loaded.network.training
    image = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(outputs_of(loaded.network, image), outputs_of(artifact.network.eval(), image), strict=True):
        assert torch.equal(ours, theirs)


def test_what_has_two_names_is_stored_once_and_stays_one(tmp_path: Path) -> None:
    artifact = Artifact.new("users_artifact:again", {}, seed=1)
    artifact.save(tmp_path / "a")
    with safe_open(tmp_path / "a" / "weights.safetensors", framework="pt") as file:
        stored = set(file.keys())
    layers = ("head", "one", "first", "second", "tail", "out")
    assert stored == {f"{layer}.{key}" for layer in layers for key in ("weight", "bias")} - {"second.weight"}
    network = load(tmp_path / "a").network
    assert network.other is network.one
    assert network.second.weight is network.first.weight
    load(tmp_path / "a").save(tmp_path / "b")
    assert (tmp_path / "b/model.json").read_bytes() == (tmp_path / "a/model.json").read_bytes()


def test_weights_of_a_new_network_depend_on_the_seed_alone() -> None:
    def weight(seed: int) -> Tensor:
        return Artifact.new("mimo-unet", {"width": 8, "num_blocks": 1}, seed).network.head.weight

    first = weight(3)
    torch.rand(5)
    assert torch.equal(first, weight(3))
    assert not torch.equal(first, weight(4))


def truncate(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def flip_a_bit(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-10] ^= 1
    weights.write_bytes(content)


def edit(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "model.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


@pytest.mark.parametrize(
    ("damage", "file", "said"),
    [
        (truncate, "weights.safetensors", "it is truncated or changed"),
        (flip_a_bit, "weights.safetensors", "it is truncated or changed"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "weights.safetensors", "it is missing"),
        (lambda folder: (folder / "model.json").unlink(), "", "it has no model.json"),
        (lambda folder: (folder / "model.json").write_text("{"), "model.json", "must be an artifact's description"),
        (edit(format=99), "model.json", "must have format 1; it has 99"),
        (edit(surprise=1), "model.json", "must be an artifact's description"),
        (edit(quantization={"scheme": "int8"}), "", "must be a float artifact here; it is quantized (int8)"),
    ],
)
def test_a_damaged_artifact_names_its_file(
    damage: Callable[[Path], None], file: str, said: str, float_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "artifact"
    load(float_folder).save(folder)
    damage(folder)
    with pytest.raises(UserError) as error:
        load(folder)
    assert str(error.value).startswith(str(folder / file))
    assert said in str(error.value)


def test_a_folder_that_is_no_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be an artifact, a folder with"):
        load(tmp_path / "nowhere")


def test_the_plan_names_only_the_layers_that_changed(tiny: Callable[..., nn.Module]) -> None:
    from baseline.channel_plan import channel_plan

    network = tiny()
    assert channel_plan(network, tiny(seed=1)) == {}
    network.out[2] = nn.Conv2d(6, 3, 3, padding=1)
    assert channel_plan(network, tiny()) == {
        "out.2": {
            "attributes": {"in_channels": 6, "out_channels": 3, "groups": 1},
            "shapes": {"weight": [3, 6, 3, 3], "bias": [3]},
        }
    }
