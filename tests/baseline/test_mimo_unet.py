from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.errors import UserError
from baseline.networks.mimo_unet import AsymmetricFusion, FeatureAttention, ShallowImageFeatures, plain_conv
from baseline.networks.zoo import build
from compress.cost import count_macs, parameters

Tiny = Callable[..., nn.Module]


@pytest.mark.parametrize(("name", "published"), [("mimo-unet", 6_807_171), ("mimo-unet-plus", 16_107_651)])
def test_parameters_are_those_that_were_published(name: str, published: int) -> None:
    assert parameters(build(name, {})) == published


def test_macs_are_those_that_were_measured_by_others() -> None:
    macs, _ = count_macs(build("mimo-unet", {}))
    assert macs == pytest.approx(63.75e9, rel=1e-3)


def test_image_features_are_one_convolution_over_image_and_features() -> None:
    torch.manual_seed(0)
    block = ShallowImageFeatures(16, plain_conv)
    image = torch.rand(2, 3, 12, 20)
    w = dict(block.named_parameters())
    x = F.relu(F.conv2d(image, w["features.0.weight"], w["features.0.bias"], padding=1))
    x = F.relu(F.conv2d(x, w["features.2.weight"], w["features.2.bias"]))
    x = F.relu(F.conv2d(x, w["features.4.weight"], w["features.4.bias"], padding=1))
    x = F.relu(F.conv2d(x, w["features.6.weight"], w["features.6.bias"]))
    assert [w[f"features.{i}.weight"].shape[0] for i in (0, 2, 4, 6)] == [4, 8, 8, 13]
    joining = torch.cat([w["join_image.weight"], w["join_features.weight"]], dim=1)
    expected = F.conv2d(torch.cat([image, x], dim=1), joining, w["join_features.bias"])
    torch.testing.assert_close(block(image), expected, atol=1e-5, rtol=0)


def test_feature_attention_adds_a_convolved_product() -> None:
    torch.manual_seed(0)
    block = FeatureAttention(6, plain_conv)
    encoded, image_features = torch.randn(2, 2, 6, 8, 8)
    merged = F.conv2d(encoded * image_features, block.merge.weight, block.merge.bias, padding=1)
    torch.testing.assert_close(block(encoded, image_features), encoded + merged, atol=1e-5, rtol=0)


def test_fusion_concatenates_finest_first() -> None:
    torch.manual_seed(0)
    block = AsymmetricFusion(width=4, channels=8, conv=plain_conv)
    full, half, quarter = torch.randn(1, 4, 8, 8), torch.randn(1, 8, 8, 8), torch.randn(1, 16, 8, 8)
    w = dict(block.named_parameters())
    x = F.relu(F.conv2d(torch.cat([full, half, quarter], 1), w["fuse.0.weight"], w["fuse.0.bias"]))
    expected = F.conv2d(x, w["fuse.2.weight"], w["fuse.2.bias"], padding=1)
    torch.testing.assert_close(block(full, half, quarter), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("conv", ["plain", "separable"])
def test_outputs_go_from_the_coarsest_scale_to_the_finest(tiny: Tiny, conv: str) -> None:
    outputs = tiny(conv=conv)(torch.rand(2, 3, 32, 48))
    assert [tuple(o.shape) for o in outputs] == [(2, 3, 8, 12), (2, 3, 16, 24), (2, 3, 32, 48)]


def test_each_output_is_added_to_its_scales_image(tiny: Tiny) -> None:
    network = tiny()
    for layer in network.out:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    image = torch.rand(1, 3, 16, 16)
    quarter, half, full = network(image)
    assert torch.equal(full, image)
    assert torch.equal(half, image[..., ::2, ::2])
    assert torch.equal(quarter, image[..., ::4, ::4])


def test_the_separable_network_has_the_parameters_of_its_layers(tiny: Tiny) -> None:
    def separable(inputs: int, outputs: int) -> int:
        return 9 * inputs + inputs * outputs + outputs

    network = tiny(conv="separable")
    assert parameters(network.encoder) == sum(2 * separable(c, c) for c in (8, 16, 32))
    assert parameters(network.down) == separable(8, 16) + separable(16, 32)


def test_only_the_plus_network_drops_channels_while_training() -> None:
    image = torch.rand(1, 3, 16, 16)

    def varies(name: str) -> bool:
        network = build(name, {"width": 8, "num_blocks": 1}).train()
        first: Tensor = network(image)[-1]
        return any(not torch.equal(first, network(image)[-1]) for _ in range(8))

    assert varies("mimo-unet-plus")
    assert not varies("mimo-unet")


def test_a_wrong_argument_is_answered_with_the_right_ones() -> None:
    with pytest.raises(UserError) as error:
        build("mimo-unet", {"widht": 8})
    assert str(error.value) == (
        "network 'mimo-unet' must be given arguments that it has; 'widht' is none. It takes: width, num_blocks, conv."
    )
