from pathlib import Path

import pytest
import torch

from baseline.artifact import Artifact, load
from baseline.errors import UserError
from baseline.folding import folded, folded_if_same, has_branches, largest_difference
from baseline.networks.convolutions import BranchedConv
from baseline.networks.zoo import build
from baseline.restorer import outputs_of

TINY = {"num_blocks": 1, "width": 8}


@pytest.mark.parametrize("architecture", ["mimo-unet", "mimo-unet-plus", "mimo-unet-attention", "edge"])
def test_a_folded_network_is_the_same_function_of_plain_layers(architecture: str, tmp_path: Path) -> None:
    branched = Artifact.new(architecture, TINY | {"conv": "branched"}, seed=0)
    branched.network.eval()
    assert has_branches(branched.network)
    plain = folded(branched)
    assert not has_branches(plain.network)
    assert plain.arguments == TINY | {"conv": "plain"}
    blurred = torch.rand(2, 3, 32, 48)
    assert largest_difference(branched.network, plain.network, blurred) < 1e-5
    plain.save(tmp_path)
    assert largest_difference(branched.network, load(tmp_path).network, blurred) < 1e-5


def test_the_difference_is_the_largest_of_all_outputs() -> None:
    one, other = (build("mimo-unet", TINY).eval() for _ in range(2))
    other.load_state_dict(one.state_dict())
    blurred = torch.rand(1, 3, 32, 32)
    assert largest_difference(one, other, blurred) == 0
    other.out[0].bias.data[1] += 0.25  # of the coarsest
    assert largest_difference(one, other, blurred) == pytest.approx(0.25, abs=1e-6)
    assert torch.equal(outputs_of(one, blurred)[-1], outputs_of(other, blurred)[-1])


def test_a_network_with_branches_says_how_it_is_built_without() -> None:
    network = torch.nn.Sequential(BranchedConv(3, 3))
    with pytest.raises(UserError, match="must state folded_arguments, those that build it without them; it does not"):
        folded(Artifact(network, "my.module:make"))


class Halved(BranchedConv):
    """Branches with a forward of their own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * super().forward(x)


def test_branches_are_folded_only_where_that_is_the_same_function() -> None:
    artifact = Artifact.new("mimo-unet", TINY | {"conv": "branched"}, seed=0)
    blurred = torch.rand(1, 3, 32, 32)
    plain, reason = folded_if_same(artifact, blurred)
    assert reason is None
    assert not has_branches(plain.network)
    for layer in artifact.network.modules():
        if isinstance(layer, BranchedConv):
            layer.__class__ = Halved
    kept, reason = folded_if_same(artifact, blurred)
    assert kept is artifact
    assert reason is not None
    assert reason.startswith("the outputs differ by ")
    artifact.network.folded_arguments = {"conv": "separable"}
    kept, reason = folded_if_same(artifact, blurred)
    assert kept is artifact
    assert reason is not None
    assert reason.startswith("the folded network breaks (RuntimeError")
