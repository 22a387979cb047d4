import pytest
import torch

from baseline.errors import UserError
from baseline.networks.growing import grow_
from baseline.networks.zoo import build

SMALL = {"width": 8, "num_blocks": 1}


@pytest.mark.parametrize("conv", ["plain", "separable"])
def test_a_deeper_network_begins_as_the_trained_one_and_learns_in_all_its_blocks(conv: str) -> None:
    torch.manual_seed(1)
    trained, deeper = (build("mimo-unet", SMALL | {"num_blocks": count, "conv": conv}) for count in (1, 3))
    blocks = grow_(deeper, trained)
    assert len(blocks) == 2 * 6  # two more in each of three encoder and three decoder stages
    image = torch.rand(1, 3, 32, 48)
    for own, its in zip(deeper(image), trained(image), strict=True):
        assert torch.allclose(own, its, atol=1e-6)
    torch.stack([output.square().mean() for output in deeper(image)]).sum().backward()
    for name in blocks:
        gradients = [p.grad for p in deeper.get_submodule(name).conv2.parameters() if p.grad is not None]
        assert any(gradient.abs().max() > 0 for gradient in gradients), name


@pytest.mark.parametrize("arguments", [{"width": 16}, {"num_blocks": 1}, {"conv": "separable"}])
def test_what_is_not_the_same_network_made_deeper_is_refused(arguments: dict[str, object]) -> None:
    trained = SMALL | {"num_blocks": 2}
    with pytest.raises(UserError, match="must make the network before deeper"):
        grow_(build("mimo-unet", trained | arguments), build("mimo-unet", trained))
