from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baseline.errors import UserError
from baseline.networks.convolutions import plain_conv
from baseline.networks.mimo_unet import AsymmetricFusion, FeatureAttention, ShallowImageFeatures
from baseline.networks.zoo import build
from compress.cost import count_macs, parameters

Tiny = Callable[..., nn.Module]
State = dict[str, Tensor]


@pytest.mark.parametrize(("name", "published"), [("mimo-unet", 6_807_171), ("mimo-unet-plus", 16_107_651)])
def test_parameters_are_those_that_were_published(name: str, published: int) -> None:
    assert parameters(build(name, {})) == published


@pytest.mark.parametrize(("name", "measured"), [("mimo-unet", 63.75e9), ("mimo-unet-plus", 150.7e9)])
def test_macs_are_those_that_were_measured_by_others(name: str, measured: float) -> None:
    macs, _ = count_macs(build(name, {}), (64, 64))
    assert 16 * macs == pytest.approx(measured, rel=1e-3)


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


def conv(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state[f"{name}.bias"], stride, padding=weight.shape[-1] // 2)


def up(state: State, name: str, x: Tensor) -> Tensor:
    return F.relu(F.conv_transpose2d(x, state[f"{name}.weight"], state[f"{name}.bias"], 2, padding=1))


def blocks(state: State, name: str, x: Tensor) -> Tensor:
    for i in range(2):
        x = x + conv(state, f"{name}.{i}.conv2", F.relu(conv(state, f"{name}.{i}.conv1", x)))
    return x


def twice(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)


def papers_join(state: State, level: int, encoded: Tensor, image: Tensor) -> Tensor:
    scm = f"image_features.{level}"
    x = image
    for i in (0, 2, 4, 6):
        x = F.relu(conv(state, f"{scm}.features.{i}", x))
    x = conv(state, f"{scm}.join_features", x) + F.conv2d(image, state[f"{scm}.join_image.weight"])
    return encoded + conv(state, f"attention.{level}.merge", encoded * x)


def articles_join(state: State, level: int, encoded: Tensor, image: Tensor) -> Tensor:
    scm, fam = f"image_features.{level}", f"attention.{level}"
    x = F.relu(conv(state, f"{scm}.2", F.relu(conv(state, f"{scm}.0", image))))
    x = conv(state, f"{fam}.merge", torch.cat([encoded, x], 1))
    averages = x.flatten(2).mean(2)[..., None, None]
    hidden = F.relu(conv(state, f"{fam}.attention.squeeze", averages))
    return x / (1 + torch.exp(-conv(state, f"{fam}.attention.excite", hidden)))


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "join"),
    [("mimo-unet", papers_join), ("mimo-unet-plus", papers_join), ("mimo-unet-attention", articles_join)],
)
def test_the_network_is_its_straight_line(name: str, join: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    network = build(name, {"width": 8, "num_blocks": 2}).eval()
    s = network.state_dict()
    image = torch.rand(2, 3, 16, 24)
    half_image, quarter_image = image[..., ::2, ::2], image[..., ::4, ::4]
    full = blocks(s, "encoder.0", F.relu(conv(s, "head", image)))
    half = blocks(s, "encoder.1", join(s, 0, F.relu(conv(s, "down.0", full, 2)), half_image))
    quarter = blocks(s, "encoder.2", join(s, 1, F.relu(conv(s, "down.1", half, 2)), quarter_image))
    at_full = torch.cat([full, twice(half), twice(twice(quarter))], 1)
    at_half = torch.cat([full[..., ::2, ::2], half, twice(quarter)], 1)
    at_full = conv(s, "fusion.0.fuse.2", F.relu(conv(s, "fusion.0.fuse.0", at_full)))
    at_half = conv(s, "fusion.1.fuse.2", F.relu(conv(s, "fusion.1.fuse.0", at_half)))
    quarter = blocks(s, "decoder.0", quarter)
    half = F.relu(conv(s, "merge.0", torch.cat([up(s, "up.0", quarter), at_half], 1)))
    half = blocks(s, "decoder.1", half)
    full = F.relu(conv(s, "merge.1", torch.cat([up(s, "up.1", half), at_full], 1)))
    full = blocks(s, "decoder.2", full)
    expected = [
        conv(s, "out.0", quarter) + quarter_image,
        conv(s, "out.1", half) + half_image,
        conv(s, "out.2", full) + image,
    ]
    for output, by_hand in zip(network(image), expected, strict=True):
        torch.testing.assert_close(output, by_hand, atol=1e-5, rtol=0)


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
