import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baseline.errors import UserError
from baseline.networks.zoo import build
from baseline.restorer import outputs_of
from compress.cost import count_macs
from compress.criteria import CRITERIA
from compress.prune import prune_, rank_channels, remove_channels_, to_remove
from compress.settings import PruneSettings
from compress.verify import check_groups

Tiny = Callable[..., nn.Module]


class JoinsItsImage(nn.Module):
    """Two traps: a concatenation that begins with the image, and an output that one channel would broadcast to."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3, padding=1)
        self.join = nn.Conv2d(11, 12, 1)
        self.inner = nn.Conv2d(12, 12, 3, padding=1)
        self.out = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        joined = self.join(torch.cat([image, self.features(image).relu()], dim=1))
        return self.out(self.inner(joined.relu()).relu()) + image


def counted(network: nn.Module) -> int:
    """Parameters of the deployed MIMO-UNet: all but those of the two coarse outputs."""
    return sum(p.numel() for name, p in network.named_parameters() if not name.startswith(("out.0.", "out.1.")))


def test_macs_are_those_of_the_deployed_graph(tiny: Tiny) -> None:
    network = tiny(conv="separable")
    assert count_macs(network, (64, 64))[0] == multiplied(network)


def multiplied(network: nn.Module, side: int = 64) -> int:
    """Multiply-adds of the deployed MIMO-UNet, summed by hooks on its convolutions."""
    total = 0

    def add(layer: nn.Conv2d | nn.ConvTranspose2d, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        grid = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        total += grid.shape[-1] * grid.shape[-2] * layer.weight.numel()

    handles = [
        layer.register_forward_hook(add)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and name not in ("out.0", "out.1")
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, side, side))
    for handle in handles:
        handle.remove()
    return total


@pytest.mark.parametrize(
    ("name", "blocks", "options"),
    [
        ("mimo-unet", 1, {}),
        ("mimo-unet", 2, {}),
        ("mimo-unet", 1, {"conv": "separable"}),
        ("mimo-unet-attention", 1, {}),
        ("mimo-unet-attention", 1, {"conv": "separable"}),
        ("unet", 1, {}),
    ],
)
def test_removing_channels_is_zeroing_them_in_every_group(name: str, blocks: int, options: dict[str, str]) -> None:
    torch.manual_seed(0)
    checks = check_groups(build(name, {"width": 8, "num_blocks": blocks} | options))
    protected = {c.name: c.protected_because for c in checks if c.protected_because}
    outputs = ["out"] if name == "unet" else ["out.0", "out.1", "out.2"]
    assert protected == dict.fromkeys(outputs, "its channels are those of an output")
    exact = [c for c in checks if c.name not in protected]
    assert len(exact) > 10
    assert all(c.relative_error is not None and c.relative_error < 1e-5 for c in exact)
    # Each group was really made smaller in one copy: half of the channels were there to be removed.
    assert all(c.channels >= 2 for c in exact)


def test_what_is_not_exact_is_protected_with_a_reason() -> None:
    torch.manual_seed(0)
    checks = {c.name: c for c in check_groups(JoinsItsImage())}
    assert set(checks) == {"features", "join", "inner", "out"}
    assert checks["out"].protected_because == "its channels are those of an output"
    for name in ("features", "join", "inner"):
        error = checks[name].relative_error
        assert checks[name].protected_because or (error is not None and error < 1e-5)
    assert "removing its channels is not zeroing them: outputs differ by" in str(checks["features"].protected_because)
    assert checks["inner"].protected_because is None


def test_a_network_with_traps_is_pruned_around_them() -> None:
    torch.manual_seed(0)
    network = JoinsItsImage()
    report = prune_(network, PruneSettings(ratio=0.5))
    assert set(report.protected) == {"features", "out"}
    assert (network.features.out_channels, network.join.in_channels) == (8, 11)
    assert (network.join.out_channels, network.inner.out_channels, network.out.out_channels) == (6, 6, 3)
    assert {w.name: (w.before, w.after) for w in report.widths} == {"join": (12, 6), "inner": (12, 6)}
    assert report.largest_relative_error < 1e-5


@pytest.mark.parametrize("cut", [0.3, 0.5])
@pytest.mark.parametrize("what", ["params_cut", "macs_cut"])
@pytest.mark.parametrize("conv", ["plain", "separable"])
def test_the_asked_cut_is_achieved(tiny: Tiny, what: str, cut: float, conv: str) -> None:
    network = tiny(width=16, conv=conv)
    count = counted if what == "params_cut" else multiplied
    before = count(network)
    report = prune_(network, PruneSettings(**{what: cut}))
    achieved = 1 - count(network) / before
    assert achieved == pytest.approx(cut, abs=0.02)
    assert report.achieved[what] == pytest.approx(achieved, abs=1e-3)
    assert report.asked == {what: cut}
    assert [tuple(o.shape) for o in network(torch.rand(1, 3, 32, 32))] == [(1, 3, 8, 8), (1, 3, 16, 16), (1, 3, 32, 32)]


def test_a_ratio_is_of_the_channels_of_every_group(tiny: Tiny) -> None:
    network = tiny()
    report = prune_(network, PruneSettings(ratio=0.25))
    assert network.encoder[0][0].conv1.out_channels == 6
    assert network.encoder[2][0].conv1.out_channels == 24
    assert all(w.after == w.before - int(w.before / 4 + 0.5) for w in report.widths)
    assert report.achieved["ratio"] == pytest.approx(0.25, abs=0.02)


def test_shares_are_rounded_to_the_nearest_and_one_channel_stays() -> None:
    ranked = {"a": [3, 1, 0, 2], "b": [0, 1, 2, 3, 4, 5, 6], "c": [1, 0]}
    assert to_remove(ranked, 0.3) == {"a": [3], "b": [0, 1], "c": [1]}
    assert to_remove(ranked, 1.0) == {"a": [3, 1, 0], "b": [0, 1, 2, 3, 4, 5], "c": [1]}


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_prunes(tiny: Tiny, criterion: str) -> None:
    network = tiny()
    assert prune_(network, PruneSettings(ratio=0.3, criterion=criterion)).criterion == criterion
    assert counted(network) < 0.7 * counted(tiny())
    assert outputs_of(network, torch.rand(1, 3, 16, 16))[-1].isfinite().all()


@pytest.mark.parametrize("criterion", ["l1", "l2"])
def test_magnitude_removes_the_channels_that_do_nothing(tiny: Tiny, criterion: str) -> None:
    network = tiny()
    block = network.decoder[1][0]
    dead = [3, 7, 12]
    with torch.no_grad():
        for tensor in (block.conv1.weight, block.conv1.bias, block.conv2.weight.transpose(0, 1)):
            tensor[dead] = 0
    ranked = rank_channels(network, {"decoder.1.0.conv1"}, criterion)["decoder.1.0.conv1"]
    assert sorted(ranked[:3]) == dead
    pruned = copy.deepcopy(network)
    remove_channels_(pruned, {"decoder.1.0.conv1": ranked[:3]})
    assert pruned.decoder[1][0].conv1.out_channels == 13
    image = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(pruned(image)[-1], network(image)[-1], atol=1e-6, rtol=0)


def test_random_pruning_follows_its_seed(tiny: Tiny) -> None:
    def pruned(seed: int) -> Tensor:
        network = tiny()
        prune_(network, PruneSettings(ratio=0.5, criterion="random", seed=seed))
        return network.head.weight

    assert torch.equal(pruned(0), pruned(0))
    assert not torch.equal(pruned(0), pruned(1))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"params_cut": 0.999}, "params_cut must be at most 0.9"),
        ({"macs_cut": 0.9999}, "macs_cut must be at most 0.9"),
        ({"ratio": 0.001}, "pruning must remove at least one channel; ratio 0.001 removes none. Ask for more."),
    ],
)
def test_what_cannot_be_reached_is_refused(tiny: Tiny, asked: dict[str, float], said: str) -> None:
    network = tiny()
    before = counted(network)
    with pytest.raises(UserError) as error:
        prune_(network, PruneSettings(**asked))
    assert str(error.value).startswith(said)
    assert counted(network) == before


def test_a_network_without_channels_to_remove_is_refused() -> None:
    with pytest.raises(UserError, match="the network must have channels that can be removed exactly; it has none"):
        prune_(nn.Conv2d(3, 3, 3, padding=1), PruneSettings(ratio=0.5))


def test_an_unknown_criterion_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError) as error:
        PruneSettings(ratio=0.3, criterion="fpmg")
    known = ", ".join(sorted(CRITERIA))
    assert str(error.value) == f"no pruning criterion 'fpmg'. Did you mean 'fpgm'? Known: {known}."


@pytest.mark.parametrize("given", [{}, {"ratio": 0.3, "params_cut": 0.3}, {"ratio": 1.0}, {"macs_cut": 0.0}])
def test_exactly_one_share_is_asked_for(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"exactly one of ratio, params_cut, macs_cut|must lie between 0 and 1"):
        PruneSettings(**given)
