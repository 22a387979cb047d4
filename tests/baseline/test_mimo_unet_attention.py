import pytest
import torch
from torch.nn import functional as F

from baseline.errors import UserError
from baseline.networks.convolutions import plain_conv
from baseline.networks.mimo_unet_attention import ChannelAttention, ConcatenatedFusion, ConvolvedImage
from baseline.networks.zoo import build
from compress.cost import parameters
from compress.graph import deployed_graph


def test_an_images_features_are_two_convolutions_with_relu() -> None:
    torch.manual_seed(0)
    block = ConvolvedImage(16, plain_conv)
    image = torch.randn(2, 3, 12, 20)
    w = dict(block.named_parameters())
    x = F.relu(F.conv2d(image, w["0.weight"], w["0.bias"], padding=1))
    x = F.relu(F.conv2d(x, w["2.weight"], w["2.bias"], padding=1))
    torch.testing.assert_close(block(image), x, atol=1e-5, rtol=0)


def test_attention_weights_each_channel_by_the_averages_of_all() -> None:
    torch.manual_seed(0)
    block = ChannelAttention(16)
    x = torch.randn(2, 16, 5, 7)
    w = dict(block.named_parameters())
    assert w["squeeze.weight"].shape == (2, 16, 1, 1)
    hidden = (x.mean((2, 3)) @ w["squeeze.weight"][..., 0, 0].T + w["squeeze.bias"]).clamp(min=0)
    weights = torch.sigmoid(hidden @ w["excite.weight"][..., 0, 0].T + w["excite.bias"])
    torch.testing.assert_close(block(x), x * weights[..., None, None], atol=1e-5, rtol=0)


def test_fusion_attends_to_a_1x1_convolution_of_both() -> None:
    torch.manual_seed(0)
    block = ConcatenatedFusion(8, plain_conv)
    encoded, image_features = torch.randn(2, 2, 8, 6, 6)
    merged = F.conv2d(torch.cat([encoded, image_features], 1), block.merge.weight, block.merge.bias)
    torch.testing.assert_close(block(encoded, image_features), block.attention(merged), atol=1e-5, rtol=0)


def test_only_the_two_parts_differ_from_mimo_unet() -> None:
    theirs, ours = (build(name, {"width": 8, "num_blocks": 1}) for name in ("mimo-unet", "mimo-unet-attention"))
    parts = ("image_features.", "attention.")

    def others(network: torch.nn.Module) -> dict[str, torch.Size]:
        return {k: v.shape for k, v in network.state_dict().items() if not k.startswith(parts)}

    assert others(ours) == others(theirs)
    for channels, scm, fam in (
        (16, ours.image_features[0], ours.attention[0]),
        (32, *(m[1] for m in (ours.image_features, ours.attention))),
    ):
        eighth = channels // 8
        assert parameters(scm) == (27 + 1) * channels + (9 * channels + 1) * channels
        assert parameters(fam) == (2 * channels + 1) * channels + (channels + 1) * eighth + (eighth + 1) * channels


@torch.no_grad()
def test_the_deployed_graph_takes_any_size() -> None:
    network = build("mimo-unet-attention", {"width": 8, "num_blocks": 1}).eval()
    graph = deployed_graph(network, torch.zeros(1, 3, 32, 32))
    image = torch.rand(1, 3, 40, 24)
    torch.testing.assert_close(graph(image), network(image)[-1], atol=1e-6, rtol=0)


def test_a_width_without_an_eighth_is_refused() -> None:
    with pytest.raises(UserError) as error:
        build("mimo-unet-attention", {"width": 10})
    assert str(error.value) == (
        "network 'mimo-unet-attention' must be given a right width; got 10: Input should be a multiple of 4."
    )
