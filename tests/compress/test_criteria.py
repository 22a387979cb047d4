from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from baseline.data.loader import Batch
from baseline.losses import supervised
from baseline.restorer import outputs_of
from baseline.settings import LossSettings
from compress import gates
from compress.channels import Channels
from compress.criteria import CRITERIA

Tiny = Callable[..., nn.Module]

GROUPS = {"up": ("up",), "first": ("first", "second")}
"""The groups of `Small`, each with all layers that produce its channels."""


class Small(nn.Module):
    """A sum of two convolutions, one group, that feeds a transposed convolution, another."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 5, 2, 2)
        self.out = nn.Conv2d(5, 3, 3, stride=2, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        features = self.first(image)
        features = (features + self.second(features.relu())).tanh()
        return self.out(self.up(features).tanh()) + image


def small() -> Small:
    torch.manual_seed(0)
    network = Small()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    return network


def pair(count: int = 2, side: int = 8) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(*(torch.rand(count, 3, side, side, generator=generator) for _ in range(2)))


def with_gates(network: nn.Module, layers: tuple[str, ...], gate: Tensor, image: Tensor) -> Tensor:
    """The output with the gate multiplied onto what each of the layers puts out."""
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda layer, given, output: output * gate[:, None, None])
        for name in layers
    ]
    try:
        return outputs_of(network, image)[-1]
    finally:
        for hook in hooks:
            hook.remove()


def importances(criterion: str, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    channels = Channels(network)
    return dict(CRITERIA[criterion].importances(network, channels, GROUPS, [batch]))


def test_the_groups_of_the_small_network_are_as_the_test_takes_them() -> None:
    groups = Channels(small()).groups
    assert {name: tuple(sorted(m.layer for m in groups[name].producers())) for name in GROUPS} == GROUPS


def test_taylor_is_the_derivative_of_the_loss_at_an_explicit_gate() -> None:
    network, batch, loss = small(), pair(), supervised(LossSettings())
    got = importances("taylor", network, batch)
    for name, layers in GROUPS.items():
        expected = []
        for blurred, sharp in zip(batch.blurred.split(1), batch.sharp.split(1), strict=True):
            gate = torch.ones(len(got[name]), requires_grad=True)
            terms = loss([with_gates(network, layers, gate, blurred)], Batch(blurred, sharp))
            (derivative,) = torch.autograd.grad(sum(terms.values()), gate)
            expected.append(derivative.abs())
        torch.testing.assert_close(got[name], torch.stack(expected).mean(0), rtol=1e-4, atol=1e-7)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_fisher_is_the_mean_squared_derivative_of_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    # The variance of a squared random sum is at most twice its squared mean: 2 crops x 400 probes leave 5%.
    monkeypatch.setattr(gates, "_PROBES", 400)
    network, batch = small(), pair(side=4)
    got = importances("fisher", network, batch)
    for name, layers in GROUPS.items():
        whole = jacobian(
            lambda gate, layers=layers: with_gates(network, layers, gate, batch.blurred), torch.ones(len(got[name]))
        )
        expected = whole.square().mean(dim=(0, 1, 2, 3))
        torch.testing.assert_close(got[name], expected, rtol=0.2, atol=0)


def test_fisher_of_a_single_number_needs_no_luck() -> None:
    class One(Small):
        def forward(self, image: Tensor) -> Tensor:
            return super().forward(image).mean(dim=(1, 2, 3), keepdim=True)

    torch.manual_seed(0)
    network, batch = One(), pair()
    got = importances("fisher", network, batch)
    for name, layers in GROUPS.items():
        whole = jacobian(
            lambda gate, layers=layers: with_gates(network, layers, gate, batch.blurred), torch.ones(len(got[name]))
        )
        torch.testing.assert_close(got[name], whole.square().mean(dim=(0, 1, 2, 3)), rtol=1e-4, atol=1e-10)


@pytest.mark.parametrize("criterion", [name for name in CRITERIA if name != "random"])
def test_a_dead_channel_matters_least(tiny: Tiny, criterion: str) -> None:
    network, dead = tiny(), [3, 7, 12]
    block = network.decoder[1][0]
    with torch.no_grad():
        block.conv1.bias.add_(1)  # so that its ReLU lets something through of the other channels
        for tensor in (block.conv1.weight, block.conv1.bias, block.conv2.weight.transpose(0, 1)):
            tensor[dead] = 0
    group = "decoder.1.0.conv1"
    ranked = CRITERIA[criterion].importances(network, Channels(network), [group], [pair(side=32)])[group]
    assert ranked.shape == (16,)
    assert sorted(ranked.argsort()[:3].tolist()) == dead


@pytest.mark.parametrize(("criterion", "power"), [("l1", 1), ("l2", 2)])
def test_magnitude_is_that_of_all_layers_of_the_group(criterion: str, power: int) -> None:
    network = small()
    got = importances(criterion, network, pair())["up"]
    # What goes out of `up` and what comes into `out`, up to a factor that is the same for all channels.
    weights = (network.up.weight.transpose(0, 1), network.out.weight.transpose(0, 1))
    expected = sum(weight.flatten(1).abs().pow(power).sum(1) for weight in weights)
    torch.testing.assert_close(got / got.mean(), expected / expected.mean())


def test_looking_at_data_leaves_the_weights_alone() -> None:
    network = small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for criterion in CRITERIA:
        importances(criterion, network, pair())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
