import copy
from collections.abc import Callable
from unittest.mock import ANY

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.networks.zoo import build
from baseline.restorer import outputs_of
from compress.channels import Channels, Removal, _shorten_parameter_, removed
from compress.verify import check_groups

Tiny = Callable[..., nn.Module]


class Scaled(nn.Module):
    """Bare parameters: a factor and a shift for every channel, as in NAFNet, and a norm by its statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 8, 3, padding=1)
        self.beta = nn.Parameter(torch.rand(1, 8, 1, 1))
        self.shift = nn.Parameter(torch.rand(1, 8, 1, 1))
        self.out = nn.Conv2d(8, 3, 3, padding=1)
        self.norm.running_mean = torch.rand(8)
        self.norm.running_var = torch.rand(8) + 0.5

    def forward(self, image: Tensor) -> Tensor:
        features = self.norm(self.head(image)).relu()
        return self.out(features + self.inner(features) * self.beta + self.shift) + image


def some_of_each(channels: Channels, seed: int = 0) -> Removal:
    """A random choice of the channels of every group that feeds no output."""
    generator = torch.Generator().manual_seed(seed)
    removal = {}
    for group in channels.groups.values():
        if not group.feeds_output:
            count = int(torch.randint(1, group.channels, (1,), generator=generator))
            removal[group.name] = torch.randperm(group.channels, generator=generator)[:count].tolist()
    return removal


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize(
    ("name", "options"),
    [("mimo-unet", {}), ("mimo-unet", {"conv": "separable"}), ("mimo-unet-attention", {}), ("unet", {})],
)
def test_removing_from_all_groups_at_once_is_zeroing_them(name: str, options: dict[str, str]) -> None:
    torch.manual_seed(0)
    network = build(name, {"width": 8, "num_blocks": 1} | options).double()
    channels = Channels(network)
    removal = some_of_each(channels)
    assert len(removal) > 10
    pruned = copy.deepcopy(network)
    channels.remove_(pruned, removal)
    channels.zero_(network, removal)
    image = torch.rand(1, 3, 32, 16, dtype=torch.float64)
    for ours, theirs in zip(outputs_of(pruned, image), outputs_of(network, image), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


def test_the_input_of_a_concatenation_is_cut_once_for_all_its_groups(tiny: Tiny) -> None:
    network = tiny(width=8)
    channels = Channels(network)
    merge = ("merge.1", "in")
    # The features that are decoded take the first 8 of the 16 channels, those of the skip the rest.
    group = {g.name: m for g in channels.groups.values() for m in g.members if (m.layer, m.side) == merge}
    (first,) = [name for name, member in group.items() if set(member.own) == set(range(8))]
    (second,) = [name for name, member in group.items() if set(member.own) == set(range(8, 16))]
    cut = channels.members_cut({first: [0, 3], second: [1], "encoder.0.0.conv1": []})
    assert cut[merge] == {0, 3, 9}
    assert not any(layer == "encoder.0.0.conv1" for layer, _ in cut)
    before = network.merge[1].weight.clone()
    channels.remove_(network, {first: [0, 3], second: [1]})
    kept = [i for i in range(16) if i not in (0, 3, 9)]
    assert torch.equal(network.merge[1].weight, before[:, kept])


def test_bare_parameters_and_norms_are_cut_along() -> None:
    torch.manual_seed(0)
    network = Scaled().double()
    channels = Channels(network)
    assert set(channels.groups) == {"out", "inner"}  # one group: the sum ties the two convolutions together
    kept = [0, 3, 4, 6, 7]
    pruned, masked = copy.deepcopy(network), copy.deepcopy(network)
    channels.remove_(pruned, {"inner": [5, 1, 2]})
    channels.zero_(masked, {"inner": [5, 1, 2]})
    for name in ("beta", "shift"):
        assert torch.equal(pruned.get_parameter(name), network.get_parameter(name)[:, kept])
    assert torch.equal(pruned.norm.running_mean, network.norm.running_mean[kept])
    image = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(pruned(image), masked(image), atol=1e-12, rtol=0)
    assert (masked(image) - network(image)).abs().max() > 1e-3


class Gates(nn.Module):
    """Two gates of halves, the second behind a factor for every channel; `shape` is that of the factors."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.first, self.join = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(8, 6, 1)
        self.factor = nn.Parameter(torch.rand(*shape) + 0.5)
        self.second, self.out = nn.Conv2d(6, 20, 3, padding=1), nn.Conv2d(10, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        one, other = self.first(image).chunk(2, dim=1)
        scaled = self.join(one.sigmoid() * other) * self.factor
        one, other = self.second(scaled).chunk(2, dim=1)
        return image + self.out(one.sigmoid() * other)


@pytest.mark.parametrize("shape", [(1, 6, 1, 1), (6, 1, 1), (1, 1, 1)])
def test_gates_are_cut_in_pairs_behind_factors_of_any_shape(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    found = {check.name: (check.channels, check.protected_because) for check in check_groups(Gates(*shape))}
    assert found == {"first": (8, None), "join": (6, None), "second": (10, None), "out": (3, ANY)}


class HeadsOfTokens(nn.Module):
    """Attention between channels in two heads, with a temperature for each, and a gate behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.keys = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 24, 1)
        self.temperature = nn.Parameter(torch.ones(2, 1, 1))
        self.join, self.wide, self.out = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 12, 1), nn.Conv2d(6, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.head(image)
        n, c, h, w = x.shape
        q, k, v = (part.reshape(n, 2, c // 2, h * w) for part in self.keys(x).chunk(3, dim=1))
        weights = ((F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)) * self.temperature).softmax(-1)
        one, other = self.wide(x + self.join((weights @ v).reshape(n, c, h, w))).chunk(2, dim=1)
        return image + self.out(F.gelu(one) * other)


def test_what_follows_attention_is_cut_and_the_rest_has_its_reason() -> None:
    torch.manual_seed(0)
    found = {check.name: check.protected_because for check in check_groups(HeadsOfTokens())}
    assert [name for name, reason in found.items() if reason is None] == ["wide"]
    assert not any("index_select" in reason or "groups" in reason for reason in found.values() if reason)


def test_a_bare_parameter_may_lose_all_its_entries() -> None:
    network = Scaled()
    _shorten_parameter_(network, "beta", 1, set(range(8)))
    assert network.beta.shape == (1, 0, 1, 1)


def test_the_weights_come_back_bit_for_bit_after_zeroing_even_after_an_error(tiny: Tiny) -> None:
    network = tiny()
    channels = Channels(network)
    before = state(network)
    removal = some_of_each(channels)
    with pytest.raises(RuntimeError, match="inside"), channels.zeroed(network, removal):
        zeroed = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])]
        raise RuntimeError("inside")
    assert len(zeroed) > 20
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_layers_come_back_after_a_cut_even_after_an_error() -> None:
    network = Scaled()
    channels = Channels(network)
    before, tensors = state(network), dict(network.named_parameters())
    with pytest.raises(RuntimeError, match="inside"), channels.cut(network, {"inner": [5, 1, 2]}):
        assert network.head.out_channels == network.norm.num_features == network.beta.shape[1] == 5
        assert network(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)
        raise RuntimeError("inside")
    assert network.head.out_channels == network.norm.num_features == 8
    assert all(parameter is tensors[name] for name, parameter in network.named_parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_zeroing_silences_what_produces_the_channels_and_nothing_else(tiny: Tiny) -> None:
    network = tiny()
    channels = Channels(network)
    before = state(network)
    channels.zero_(network, {"decoder.1.0.conv1": [2, 5]})
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"decoder.1.0.conv1.weight", "decoder.1.0.conv1.bias"}
    layer = network.decoder[1][0].conv1
    assert [i for i in range(16) if not layer.weight[i].any() and layer.bias[i] == 0] == [2, 5]


def test_a_copy_without_channels_leaves_the_original_alone_and_shares_what_is_not_cut(tiny: Tiny) -> None:
    network = tiny()
    channels = Channels(network)
    before, image = state(network), torch.rand(1, 3, 16, 16)
    answer = network(image)[-1]
    pruned = removed(network, channels, {"decoder.1.0.conv1": [0, 1]})
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(network(image)[-1], answer)
    assert network.decoder[1][0].conv1.out_channels == 16
    assert pruned.decoder[1][0].conv1.out_channels == pruned.decoder[1][0].conv2.in_channels == 14
    own = dict(network.named_parameters())
    copied = {name for name, parameter in pruned.named_parameters() if parameter is not own[name]}
    assert copied == {f"decoder.1.0.{name}" for name in ("conv1.weight", "conv1.bias", "conv2.weight")}


def test_frozen_layers_are_found_like_the_others(tiny: Tiny) -> None:
    frozen = tiny()
    frozen.requires_grad_(False)
    free = tiny()
    found, expected = Channels(frozen).groups, Channels(free).groups
    assert {name: group.members for name, group in found.items()} == {
        name: group.members for name, group in expected.items()
    }
    assert len(found) > 10
