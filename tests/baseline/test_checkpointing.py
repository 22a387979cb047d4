import copy

import pytest
import torch
from torch import Tensor, nn

from baseline.errors import UserError
from baseline.networks.checkpointing import checkpointed_gradients
from baseline.networks.zoo import build
from baseline.restorer import outputs_of


class UsersNetwork(nn.Module):
    """Nothing of ours: blocks with batch normalization and dropout inside a wrapper, called with a keyword."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 3, padding=1)
            self.norm = nn.BatchNorm2d(8)

        def forward(self, x: Tensor, *, scale: float) -> Tensor:
            return x + scale * nn.functional.dropout(self.norm(self.conv(x)).relu(), 0.3, self.training)

    def __init__(self) -> None:
        super().__init__()
        self.wrapped = nn.ModuleDict(
            {"head": nn.Conv2d(3, 8, 1), "blocks": nn.ModuleList(self.Block() for _ in range(3))}
        )
        self.tail = nn.Conv2d(8, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.wrapped["head"](image)
        for block in self.wrapped["blocks"]:
            x = block(x, scale=0.5)
        return self.tail(x)


def network_called(name: str) -> nn.Module:
    torch.manual_seed(0)
    return (UsersNetwork() if name == "user's" else build(name, {"width": 8, "num_blocks": 2})).train()


def gradients(network: nn.Module) -> dict[str, Tensor]:
    torch.manual_seed(1)
    image = torch.rand(2, 3, 16, 24)
    loss = sum(output.square().mean() for output in outputs_of(network, image))
    network.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in network.named_parameters()}


@pytest.mark.parametrize("name", ["mimo-unet", "mimo-unet-plus", "mimo-unet-attention", "unet", "nafnet", "user's"])
def test_gradients_and_statistics_are_those_of_a_network_that_keeps_everything(name: str) -> None:
    keeps, recomputes = network_called(name), network_called(name)
    expected = gradients(keeps)
    with checkpointed_gradients(recomputes):
        found = gradients(recomputes)
    assert any(g.abs().max() > 0 for g in expected.values())
    for parameter, gradient in expected.items():
        torch.testing.assert_close(found[parameter], gradient, rtol=1e-6, atol=1e-9)
    for key, buffer in keeps.named_buffers():
        assert torch.equal(recomputes.get_buffer(key), buffer)


def kept_numbers(network: nn.Module) -> int:
    """How many numbers, those of the weights left out, a forward pass keeps for the backward pass."""
    weights = {p.data_ptr() for p in network.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = network(torch.rand(1, 3, 64, 64))
    assert outputs[-1].requires_grad
    return sum(numel for pointer, numel in kept.items() if pointer not in weights)


def test_the_stages_are_recomputed_and_less_is_kept() -> None:
    network = build("mimo-unet", {"width": 8, "num_blocks": 8})
    everything = kept_numbers(network)
    with checkpointed_gradients(network) as names:
        assert {f"{side}.{i}" for side in ("encoder", "decoder") for i in range(3)} <= set(names)
        assert not {"head", "up.0", "merge.0", "out.2"} & set(names)
        assert kept_numbers(network) < 0.3 * everything
    assert kept_numbers(network) == everything


def test_the_state_is_untouched_and_all_is_undone_at_the_end() -> None:
    network = network_called("mimo-unet")
    names = list(network.state_dict())
    with pytest.raises(ZeroDivisionError), checkpointed_gradients(network) as blocks:
        assert list(network.state_dict()) == names
        assert all("forward" in vars(network.get_submodule(block)) for block in blocks)
        1 / 0  # noqa: B018  a training that fails
    assert not any("forward" in vars(module) for module in network.modules())


@torch.inference_mode()
def test_a_copy_made_meanwhile_runs_on_its_own_weights() -> None:
    network = network_called("mimo-unet").eval()
    image = torch.rand(1, 3, 16, 16)
    with checkpointed_gradients(network):
        before = network(image)[-1]
        twin = copy.deepcopy(network)
        for parameter in network.parameters():
            parameter.zero_()
        assert torch.equal(twin(image)[-1], before)


def test_a_networks_wrapper_is_looked_into() -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network_called("unet")

    with checkpointed_gradients(Wrapper()) as blocks:
        assert blocks == [
            f"inner.{stage}" for stage in ("encoder.0", "encoder.1", "encoder.2", "decoder.0", "decoder.1")
        ]


def test_a_network_without_blocks_is_refused() -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1))
    with pytest.raises(UserError) as error, checkpointed_gradients(plain):
        pass
    assert str(error.value) == (
        "the network must have blocks of several layers to recompute; it has none. Leave gradient checkpointing off."
    )
