import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.artifact import Artifact, load
from baseline.networks.zoo import NETWORKS, build
from baseline.restorer import NetworkRestorer, min_size_of, restore_any_size, size_multiple_of
from baseline.sizes import Sizes, find_sizes, found_sizes
from compress.graph import deployed_graph
from compress.verify import check_groups

Importable = Callable[[str, str], str]


class Halves(nn.Module):
    """Strided convolutions and back, as many times as it is told."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.down = nn.Sequential(*(nn.Conv2d(3, 3, 2, 2) for _ in range(times)))
        self.up = nn.Sequential(*(nn.ConvTranspose2d(3, 3, 2, 2) for _ in range(times)))

    def forward(self, image: Tensor) -> Tensor:
        return image + self.up(self.down(image))


class PadsInside(Halves):
    """Takes any size: padded to multiples inside, and cut at the end."""

    def __init__(self, times: int, multiple: int) -> None:
        super().__init__(times)
        self.multiple = multiple

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        missing = (-width % self.multiple, -height % self.multiple)
        padded = F.pad(image, (0, missing[0], 0, missing[1]))
        return super().forward(padded)[..., :height, :width]


class HalfScale(nn.Module):
    """A coarse path at half scale, floored, and back to any size."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        half = F.interpolate(image, scale_factor=0.5, mode="bilinear")
        return image + F.interpolate(self.inner(half), size=image.shape[-2:], mode="bilinear")


class ReflectsFar(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(3, 3, 15, padding=7, padding_mode="reflect")

    def forward(self, image: Tensor) -> Tensor:
        return self.inner(image)


class Windows(nn.Module):
    def __init__(self, side: int) -> None:
        super().__init__()
        self.side, self.mix = side, nn.Linear(side * side, side * side)

    def forward(self, image: Tensor) -> Tensor:
        n, c, h, w = image.shape
        s = self.side
        windows = image.reshape(n, c, h // s, s, w // s, s).transpose(3, 4).reshape(n, c, h // s, w // s, s * s)
        return self.mix(windows).reshape(n, c, h // s, w // s, s, s).transpose(3, 4).reshape(n, c, h, w)


@pytest.mark.parametrize(
    ("network", "sizes"),
    [
        (nn.Conv2d(3, 3, 3, padding=1), Sizes(1, 2)),
        (Halves(1), Sizes(2, 4)),
        (Halves(3), Sizes(8, 16)),
        (PadsInside(2, 4), Sizes(4, 8)),
        (PadsInside(2, 64), Sizes(64, 128)),
        (PadsInside(0, 7), Sizes(7, 14)),
        (HalfScale(), Sizes(2, 4)),
        (ReflectsFar(), Sizes(1, 8)),
        (Windows(8), Sizes(8, 16)),
        (Windows(12), Sizes(12, 24)),
    ],
)
def test_sizes_are_found_by_trying(network: nn.Module, sizes: Sizes) -> None:
    assert find_sizes(network.train()) == sizes
    assert network.training


def test_what_is_found_of_our_networks_is_what_they_state() -> None:
    for name in NETWORKS:
        network = build(name, {"width": 8, "num_blocks": 1})
        assert find_sizes(network) == Sizes(size_multiple_of(network), min_size_of(network)), name


def test_trying_draws_no_random_numbers() -> None:
    torch.manual_seed(0)
    find_sizes(Halves(1))
    after = torch.rand(1)
    torch.manual_seed(0)
    Halves(1)
    assert torch.equal(after, torch.rand(1))


def test_a_network_that_restores_nothing_has_no_sizes() -> None:
    assert find_sizes(nn.Conv2d(4, 3, 1)) is None


@pytest.mark.parametrize("network", [PadsInside(2, 4), HalfScale(), ReflectsFar(), Windows(8)])
def test_a_file_can_be_made_at_the_sizes_that_were_found(network: nn.Module) -> None:
    network = network.eval()
    network.found_sizes = find_sizes(network)
    multiple, least = size_multiple_of(network), min_size_of(network)
    with torch.no_grad():
        graph = deployed_graph(network, torch.zeros(1, 3, least + 2 * multiple, least + multiple))
        image = torch.rand(1, 3, least, least + 3 * multiple)
        assert torch.allclose(graph(image), network(image), atol=1e-5)


SOURCE = """
import torch
from torch import nn
from torch.nn import functional as F

class PadsInside(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 3, 4, 4), nn.ConvTranspose2d(3, 3, 4, 4)

    def forward(self, image):
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % 4, 0, -height % 4))
        return (padded + self.up(self.down(padded)))[..., :height, :width]

def make(stated=0):
    network = PadsInside()
    if stated:
        network.size_multiple = stated
    return network
"""


def test_artifacts_keep_what_was_found(importable: Importable, tmp_path: Path) -> None:
    made = Artifact.new(importable("padded", SOURCE) + ":make", {}, seed=0)
    assert found_sizes(made.network) == Sizes(4, 8)
    made.save(tmp_path / "kept")
    manifest = tmp_path / "kept/model.json"
    content = json.loads(manifest.read_text())
    assert content["sizes"] == {"multiple": 4, "least": 8}
    manifest.write_text(json.dumps(content | {"sizes": {"multiple": 16, "least": 48}}))
    network = load(tmp_path / "kept").network
    assert (size_multiple_of(network), min_size_of(network)) == (16, 48)


def test_artifacts_of_before_have_their_sizes_found_when_opened(importable: Importable, tmp_path: Path) -> None:
    Artifact.new(importable("padded", SOURCE) + ":make", {}, seed=0).save(tmp_path / "old")
    manifest = tmp_path / "old/model.json"
    content = json.loads(manifest.read_text())
    del content["sizes"]
    manifest.write_text(json.dumps(content))
    assert size_multiple_of(load(tmp_path / "old").network) == 4


def test_what_a_network_states_itself_counts(importable: Importable) -> None:
    network = Artifact.new(importable("padded", SOURCE) + ":make", {"stated": 32}, seed=0).network
    assert (size_multiple_of(network), min_size_of(network)) == (32, 64)


def test_small_images_are_padded_to_the_least_size() -> None:
    network = ReflectsFar().eval()
    network.found_sizes = find_sizes(network)
    assert restore_any_size(NetworkRestorer(network), torch.rand(1, 3, 3, 5)).shape == (1, 3, 3, 5)


CHANGES = """
from torch import nn

class Changes(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, image):
        image.sub_(0.45).div_(0.25)
        return image + self.inner(image)

def make():
    return Changes()
"""


def test_a_network_that_changes_its_input_is_handed_copies(importable: Importable, tmp_path: Path) -> None:
    Artifact.new(importable("changes", CHANGES) + ":make", {}, seed=0).save(tmp_path / "net")
    network = load(tmp_path / "net").network
    image = torch.rand(1, 3, 16, 16)
    given = image.clone()
    restorer = NetworkRestorer(network)
    first = restorer(given)
    assert torch.equal(given, image)
    assert torch.equal(restorer(given), first)
    assert all(check.relative_error is not None for check in check_groups(network) if check.protected_because is None)
