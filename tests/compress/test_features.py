import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from baseline.errors import UserError
from baseline.networks.zoo import build
from compress.features import Adapted, matched_by_scale, shapes_of, tapped

Tiny = Callable[..., nn.Module]


def test_what_layers_give_is_kept_while_they_run(tiny: Tiny) -> None:
    network = tiny()
    image = torch.rand(1, 3, 16, 16)
    with tapped(network, ["head", "out.2"]) as kept:
        outputs = network(image)
    assert torch.equal(kept["head"], network.head(image))
    assert torch.equal(kept["out.2"] + image, outputs[-1])
    kept.clear()
    network(image)
    assert kept == {}


def test_a_wrong_layer_is_answered_with_the_nearest(tiny: Tiny) -> None:
    with (
        pytest.raises(UserError, match=r"no layer 'decoder\.9'\. Did you mean 'decoder\.[0-2]'\?"),
        tapped(tiny(), ["decoder.9"]),
    ):
        pass


def test_shapes_are_channels_and_scale(tiny: Tiny) -> None:
    assert shapes_of(tiny(), ["decoder.0", "head"]) == {"decoder.0": (32, 4), "head": (8, 1)}
    with pytest.raises(UserError, match=r"layer 'squeeze' gives none\. Choose another layer"):
        shapes_of(Averages(), ["squeeze"])


@pytest.mark.parametrize("width", [8, 16, 24, 32])
def test_pixels_are_not_taken_for_channels(width: int) -> None:
    network = build("nafnet", {"width": width, "num_blocks": 1})
    assert not [name for name in shapes_of(network) if "norm" in name]
    with pytest.raises(UserError, match=r"layer 'encoder\.1\.0\.norm1' gives none"):
        shapes_of(network, ["encoder.1.0.norm1"])


def test_phases_of_pixels_are_no_features_of_nafnet(tiny: Tiny) -> None:
    network = build("nafnet", {"width": 8, "num_blocks": 1})
    assert matched_by_scale(network, tiny()) == {
        "decoder.1": "decoder.2",
        "decoder.0": "decoder.1",
        "encoder.2": "decoder.0",
    }


class Averages(nn.Module):
    """A network with a layer that gives one number a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.squeeze(x)


def test_layers_are_matched_by_the_last_of_each_scale(tiny: Tiny) -> None:
    assert matched_by_scale(tiny(), tiny(width=16)) == {f"decoder.{i}": f"decoder.{i}" for i in range(3)}
    edge = build("edge", {"width": 8, "num_blocks": 1, "conv": "plain"})
    assert matched_by_scale(edge, tiny()) == {"deep": "decoder.0", "decoder": "decoder.1"}
    assert matched_by_scale(tiny(), edge) == {"decoder.0": "deep", "decoder.1": "decoder"}


def test_networks_without_a_common_scale_are_refused(tiny: Tiny) -> None:
    with pytest.raises(UserError, match=r"must have features of one scale in common; they have none\. Name the layers"):
        matched_by_scale(nn.Conv2d(3, 3, 3, padding=1), tiny())


def test_adapters_are_trained_with_the_student_and_are_no_part_of_it(tiny: Tiny) -> None:
    student, teacher = tiny(), tiny(width=16, seed=1)
    before = set(student.state_dict())
    adapted = Adapted(student, teacher, {"head": "head", "decoder.0": "encoder.2"}).train()
    assert [(a.in_channels, a.out_channels) for a in adapted.adapters] == [(8, 16), (32, 64)]
    image = torch.rand(2, 3, 16, 16)
    outputs = adapted(image)
    assert all(torch.equal(own, given) for own, given in zip(student(image), outputs, strict=True))
    assert torch.equal(adapted.features[0], adapted.adapters[0](student.head(image)))
    sum(features.sum() for features in adapted.features).backward()
    assert adapted.adapters[1].weight.grad is not None and student.head.weight.grad is not None
    assert set(student.state_dict()) == before


def test_features_are_kept_of_training_only_and_a_copy_keeps_its_own(tiny: Tiny) -> None:
    adapted = Adapted(tiny(), tiny(), {"head": "head"}).train()
    copied = copy.deepcopy(adapted)
    copied(torch.rand(1, 3, 16, 16))
    assert len(copied.features) == 1
    assert adapted.features == []
    copied.eval()(torch.rand(1, 3, 16, 16))
    assert copied.features == []
