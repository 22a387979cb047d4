import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from baseline.artifact import Artifact, load
from baseline.data.loader import Batch
from baseline.errors import UserError
from baseline.networks.nafnet import NAFBlock
from baseline.networks.zoo import build
from baseline.restorer import outputs_of
from compress import layer_latency
from compress.cost import cost, count_macs
from compress.criteria import CRITERIA
from compress.prune import PruneReport, Surveyed, apply_, plan, prune_, survey
from compress.pruning_settings import PRUNING_TARGETS, PruneSettings
from compress.widths import ALLOCATIONS

Tiny = Callable[..., nn.Module]

PLAIN: dict[str, Any] = {"criterion": "l2", "widths": "uniform", "multiple": 1}
"""One ratio for all, and no crops looked at."""

MODULE = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.inner = nn.Conv2d(channels, channels, 3, padding=1)
        self.own = nn.InstanceNorm2d(channels, affine=True)
        self.beta = nn.Parameter(torch.rand(1, channels, 1, 1))
        self.group = nn.GroupNorm(1, channels)
        self.wide = nn.Conv2d(channels, 12, 1)
        self.out = nn.Conv2d(12, 3, 3, padding=1)

    def forward(self, image):
        features = self.norm(self.head(image)).relu()
        features = self.group(features + self.own(self.inner(features)) * self.beta)
        return self.out(self.wide(features).relu()) + image

class Free(Network):
    def forward(self, image):
        features = self.norm(self.head(image)).relu()
        return self.out(self.wide(features + self.own(self.inner(features)) * self.beta).relu()) + image

def normed(channels=8):
    return Network(channels)

def free(channels=8):
    return Free(channels)
"""


def noisy(crops: list[Tensor]) -> list[Batch]:
    """Two pairs of real crops of 32x32, blurred by noise."""
    sharp = torch.cat(crops[:2])[..., :32, :32]
    generator = torch.Generator().manual_seed(0)
    return [Batch((sharp + 0.1 * torch.randn(sharp.shape, generator=generator)).clamp(0, 1), sharp)]


@pytest.fixture
def users_module(importable: Callable[[str, str], str]) -> None:
    importable("users_prune", MODULE)


@pytest.fixture(scope="module", params=["plain", "separable"])
def looked_at(request: pytest.FixtureRequest) -> tuple[nn.Module, Surveyed]:
    """A MIMO-UNet of width 16, and what a survey says of it. Prune copies."""
    torch.manual_seed(0)
    network = build("mimo-unet", {"width": 16, "num_blocks": 1, "conv": request.param}).eval()
    return network, survey(network, PruneSettings(ratio=0.5, criterion="l2", widths="uniform", multiple=1), [])


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def unchanged(network: nn.Module, before: dict[str, Tensor]) -> bool:
    """Whether the network has the same weights, bit for bit."""
    now = network.state_dict()
    return now.keys() == before.keys() and all(torch.equal(now[name], before[name]) for name in now)


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


@pytest.mark.parametrize("cut", [0.3, 0.5])
@pytest.mark.parametrize("what", ["params_cut", "macs_cut"])
def test_the_asked_cut_is_achieved(looked_at: tuple[nn.Module, Surveyed], what: str, cut: float) -> None:
    network, settings = copy.deepcopy(looked_at[0]), PruneSettings(**PLAIN, **{what: cut})
    count = counted if what == "params_cut" else multiplied
    before = count(network)
    report = apply_(network, plan(looked_at[1], settings), settings)
    achieved = 1 - count(network) / before
    assert achieved == pytest.approx(cut, abs=0.02)
    assert report.achieved[what] == pytest.approx(achieved, abs=1e-3)
    assert report.asked == {what: cut}
    assert [tuple(o.shape) for o in network(torch.rand(1, 3, 32, 32))] == [(1, 3, 8, 8), (1, 3, 16, 16), (1, 3, 32, 32)]


def test_a_ratio_is_of_the_channels_of_every_group(tiny: Tiny) -> None:
    network = tiny()
    report = prune_(network, PruneSettings(ratio=0.25, criterion="l2", widths="uniform", multiple=1))
    assert network.encoder[0][0].conv1.out_channels == 6
    assert network.encoder[2][0].conv1.out_channels == 24
    assert all(w.after == w.before - int(w.before / 4 + 0.5) for w in report.widths)
    assert report.achieved["ratio"] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_prunes(crops: list[Tensor], criterion: str) -> None:
    network = build("unet", {"width": 8, "num_blocks": 1})
    before = cost(network, (32, 32)).params
    report = prune_(network, PruneSettings(ratio=0.3, criterion=criterion, widths="uniform", multiple=1), noisy(crops))
    assert report.criterion == criterion
    assert cost(network, (32, 32)).params < 0.6 * before  # about 0.7 squared
    assert outputs_of(network, torch.rand(1, 3, 16, 16))[-1].isfinite().all()


@pytest.mark.parametrize("widths", ALLOCATIONS)
def test_every_allocation_reaches_the_cut_in_whole_multiples(crops: list[Tensor], widths: str) -> None:
    network = build("unet", {"width": 16, "num_blocks": 1})
    before = sum(p.numel() for p in network.parameters())
    settings = PruneSettings(params_cut=0.4, criterion="taylor", widths=widths, multiple=2)
    report = prune_(network, settings, noisy(crops))
    assert 1 - sum(p.numel() for p in network.parameters()) / before == pytest.approx(0.4, abs=0.03)
    assert (report.allocation, report.multiple) == (widths, 2)
    assert all(w.after % 2 == 0 for w in report.widths)
    assert (report.sensitivity is not None) == (widths == "sensitivity")


def test_the_least_important_channels_go(tiny: Tiny) -> None:
    network, dead = tiny(), [3, 7, 12]
    block = network.decoder[1][0]
    with torch.no_grad():
        for tensor in (block.conv1.weight, block.conv1.bias, block.conv2.weight.transpose(0, 1)):
            tensor[dead] = 0
    surveyed = survey(network, PruneSettings(ratio=0.2, criterion="l2", widths="uniform", multiple=1), [])
    group = "decoder.1.0.conv1"
    assert sorted(surveyed.ranked()[group][:3]) == dead
    assert sorted(surveyed.removal(surveyed.unpruned | {group: 13})[group]) == dead
    alive = block.conv1.bias.detach()[[i for i in range(16) if i not in dead]]
    settings = PruneSettings(ratio=0.2, criterion="l2", widths="uniform", multiple=1)  # of 16, three
    report = apply_(network, plan(surveyed, settings), settings)
    assert torch.equal(block.conv1.bias, alive)
    assert (group, 16, 12.8, 13) in [(w.name, w.before, w.asked, w.after) for w in report.widths]


def test_random_pruning_follows_its_seed() -> None:
    def pruned(seed: int) -> Tensor:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 3, padding=1))
        prune_(network, PruneSettings(ratio=0.5, criterion="random", seed=seed, widths="uniform", multiple=1))
        return network[0].weight

    assert torch.equal(pruned(0), pruned(0))
    assert not torch.equal(pruned(0), pruned(1))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"params_cut": 0.999}, "the cut must be at most 0.9"),
        ({"macs_cut": 0.9999}, "the cut must be at most 0.9"),
        ({"ratio": 0.9, "multiple": 64}, "pruning must remove at least one channel; ratio 0.9 removes none."),
        ({"ratio": 0.001}, "pruning must remove at least one channel; ratio 0.001 removes none. Ask for more."),
    ],
)
def test_what_cannot_be_reached_is_refused(asked: dict[str, Any], said: str) -> None:
    network = build("unet", {"width": 8, "num_blocks": 1})
    before = state(network)
    with pytest.raises(UserError) as error:
        prune_(network, PruneSettings(**PLAIN | asked))
    assert str(error.value).startswith(said)
    assert unchanged(network, before)


def test_what_looks_at_crops_must_be_given_some(tiny: Tiny) -> None:
    for looks in ({"criterion": "taylor"}, {"criterion": "fisher"}, {"widths": "sensitivity"}):
        settings = PruneSettings(**PLAIN | looks, ratio=0.3)
        assert settings.looks_at_crops
        with pytest.raises(ValueError, match="looks at training crops, and got none"):
            prune_(tiny(), settings)
    assert not PruneSettings(ratio=0.3, widths="global", criterion="l2", multiple=1).looks_at_crops


def test_a_group_that_is_not_exact_with_the_chosen_channels_is_protected_and_the_rest_pruned(
    users_module: None,
) -> None:
    network = Artifact.new("users_prune:normed", {}, seed=0).network
    settings = PruneSettings(ratio=0.5, criterion="l2", widths="uniform", multiple=1)
    surveyed = survey(network, settings, [])
    # A check that let a group pass that it should have protected.
    (wrong,) = [check for check in surveyed.checks if check.name not in ("out", "wide")]
    fooled = replace(
        surveyed,
        checks=[replace(check, protected_because=None) if check is wrong else check for check in surveyed.checks],
        importances={**surveyed.importances, wrong.name: torch.arange(float(wrong.channels))},
    )
    report = apply_(network, plan(fooled, settings), settings)
    assert [(row.name, row.before, row.after) for row in report.widths] == [("wide", 12, 6)]
    said = "with the channels chosen here, removing its channels is not zeroing them: outputs differ by"
    assert report.protected[wrong.name].startswith(said)
    assert report.largest_relative_error < 1e-5

    alone = replace(fooled, checks=[check for check in fooled.checks if check.name == wrong.name])
    with pytest.raises(UserError, match="the network must have channels that can be removed exactly; it has none"):
        plan(alone, settings)


def test_the_report_says_what_was_left_alone_and_how_exact_the_rest_is(users_module: None) -> None:
    network = Artifact.new("users_prune:normed", {}, seed=0).network
    whole = cost(network)
    report = prune_(network, PruneSettings(ratio=0.5, criterion="l2", widths="uniform", multiple=1))
    assert [(w.name, w.before, w.after) for w in report.widths] == [("wide", 12, 6)]
    assert len(report.protected) == 2
    assert report.protected["out"] == "its channels are those of an output"
    # Of what is removed, not of what is protected because it is not exact.
    assert report.largest_relative_error < 1e-5
    left = cost(network)
    assert report.achieved["params_cut"] == pytest.approx(1 - left.params / whole.params)
    assert report.achieved["macs_cut"] == pytest.approx(1 - left.macs / whole.macs)
    assert PruneReport.from_json(json.loads(json.dumps(report.as_json()))) == report


def test_what_is_predicted_is_what_comes_out(looked_at: tuple[nn.Module, Surveyed]) -> None:
    network, settings = (
        copy.deepcopy(looked_at[0]),
        PruneSettings(macs_cut=0.4, widths="global", criterion="l2", multiple=1),
    )
    report = apply_(network, plan(looked_at[1], settings), settings)
    left = cost(network)
    assert report.predicted == pytest.approx({"params": left.params, "macs": left.macs})


def test_gates_lose_channels_in_pairs_and_the_cut_is_reached() -> None:
    torch.manual_seed(0)
    network = build("nafnet", {"width": 12, "num_blocks": 1})
    before = sum(p.numel() for p in network.parameters())
    report = prune_(network, PruneSettings(params_cut=0.3, criterion="l2", widths="uniform", multiple=1))
    left = cost(network)
    assert 1 - left.params / before == pytest.approx(0.3, abs=0.02)
    assert report.predicted == pytest.approx({"params": left.params, "macs": left.macs})
    kept = {w.name: w.after for w in report.widths}
    for name, block in network.named_modules():
        if isinstance(block, NAFBlock):
            mixed, fed = kept[f"{name}.mix.3.weigh"], kept[f"{name}.feed.0"]
            assert mixed < block.norm1.normalized_shape[0] > fed
            assert (block.mix[0].out_channels, block.mix[1].groups, block.mix[4].in_channels) == (
                2 * mixed,
                2 * mixed,
                mixed,
            )
            assert (block.feed[0].out_channels, block.feed[2].in_channels) == (2 * fed, fed)
    assert network(torch.rand(1, 3, 24, 16)).shape == (1, 3, 24, 16)


def test_a_latency_is_cut_by_the_table_in_multiples_of_eight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A machine on which anything takes a millisecond for each channel that it puts out.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(layer_latency, "stopwatch_for", lambda _: lambda call: float(call().shape[1]))
    never = SimpleNamespace(process_time=lambda: 0.0, perf_counter=lambda: 0.0)  # no other program takes its time
    monkeypatch.setattr(layer_latency, "time", never)
    network = build("unet", {"width": 16, "num_blocks": 1})

    def milliseconds() -> float:
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        return sum(layer.out_channels for layer in layers)

    before = milliseconds()
    settings = PruneSettings(latency_cut=0.3, latency={"size": (16, 16)}, criterion="l2", widths="uniform", multiple=8)
    assert settings.depends_on_machine
    report = prune_(network, settings)
    assert report.multiple == 8
    # What lies between the layers goes by the pixels, and these are few.
    assert report.predicted["unpruned_latency_ms"] == pytest.approx(before, rel=0.01)
    assert report.predicted["latency_ms"] == pytest.approx(milliseconds(), rel=0.01)
    assert milliseconds() / before == pytest.approx(0.7, abs=0.05)
    assert [path.parent.name for path in tmp_path.rglob("*.json")] == ["layer-latency"]


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("unet", {"width": 8, "num_blocks": 1}),
        ("nafnet", {"width": 8, "num_blocks": 1}),
        ("users_prune:normed", {"channels": 6}),
        ("users_prune:free", {"channels": 16}),
    ],
)
def test_a_network_pruned_twice_is_loaded_as_it_was_saved(
    architecture: str, arguments: dict[str, Any], users_module: None, tmp_path: Path
) -> None:
    artifact = Artifact.new(architecture, arguments, seed=1)
    for layer in artifact.network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    sizes = [sum(p.numel() for p in artifact.network.parameters())]
    for time in ("once", "twice"):
        prune_(artifact.network, PruneSettings(ratio=0.3, criterion="l2", widths="uniform", multiple=1))
        artifact.save(tmp_path / time)
        loaded = load(tmp_path / time)
        image = torch.rand(1, 3, 32, 48)
        with torch.no_grad():
            pairs = zip(outputs_of(loaded.network, image), outputs_of(artifact.network, image), strict=True)
        assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
        artifact = loaded
        sizes.append(sum(p.numel() for p in artifact.network.parameters()))
    assert sizes[0] > sizes[1] > sizes[2]


def test_an_unknown_criterion_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError) as error:
        PruneSettings(ratio=0.3, criterion="fpmg", widths="uniform", multiple=1)
    known = ", ".join(sorted(CRITERIA))
    assert str(error.value) == f"no pruning criterion 'fpmg'. Did you mean 'fpgm'? Known: {known}."


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "exactly one of ratio, params_cut, macs_cut, latency_cut, latency_ms must be set; got none"),
        (
            {"ratio": 0.3, "latency_cut": 0.3},
            "exactly one of ratio, params_cut, macs_cut, latency_cut, latency_ms must be set; got ratio, latency_cut",
        ),
        ({"ratio": 1.0}, "must lie between 0 and 1, such as 0.3; got 1.0"),
        ({"macs_cut": 0}, "must lie between 0 and 1, such as 0.3; got 0"),
    ],
)
def test_exactly_one_share_is_asked_for(given: dict[str, float], said: str) -> None:
    with pytest.raises(ValidationError) as error:
        PruneSettings.model_validate(given)
    assert [told["msg"] for told in error.value.errors()] == [f"Value error, {said}"]


@pytest.mark.parametrize("name", PRUNING_TARGETS)
def test_the_target_is_the_one_that_is_set(name: str) -> None:
    settings = PruneSettings.model_validate({name: 0.25})
    assert settings.target == (name, 0.25)
    assert settings.depends_on_machine == (name in ("latency_cut", "latency_ms"))
